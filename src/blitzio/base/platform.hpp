// The only place that asks which system, compiler and build this is.
#pragma once

#if defined(__linux__)
#define BLITZIO_OS_LINUX 1
#else
#define BLITZIO_OS_LINUX 0
#endif

#if defined(__SANITIZE_ADDRESS__)
#define BLITZIO_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define BLITZIO_ASAN 1
#endif
#endif
#ifndef BLITZIO_ASAN
#define BLITZIO_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define BLITZIO_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BLITZIO_TSAN 1
#endif
#endif
#ifndef BLITZIO_TSAN
#define BLITZIO_TSAN 0
#endif

// Expensive checks: debug builds and every sanitizer build.
#if !defined(NDEBUG) || BLITZIO_ASAN || BLITZIO_TSAN
#define BLITZIO_DEBUG 1
#else
#define BLITZIO_DEBUG 0
#endif

#define BLITZIO_LIKELY(x) __builtin_expect(!!(x), 1)
#define BLITZIO_UNLIKELY(x) __builtin_expect(!!(x), 0)
/// Lets the processor fetch the cache line of `address`, which will be written; any address may be
/// given, and nothing happens but that.
#define BLITZIO_PREFETCH(address) __builtin_prefetch(address, 1)
#define BLITZIO_COLD [[gnu::cold, gnu::noinline]]
