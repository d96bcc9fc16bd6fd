// What a file operation does when there is no memory for its result.
//
// A program of its own, for it replaces operator new.
#include <blitzio/fs/file.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

// The calling thread can have no memory.
thread_local bool is_refused = false;

[[maybe_unused]] void* allocate(std::size_t size) {
  void* memory = is_refused ? nullptr : std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace

#if !BLITZIO_TSAN  // It has its own, linked statically.
// Not inline, or GCC sees that what new gave is given to free().
[[gnu::noinline]] void* operator new(std::size_t size) {
  return allocate(size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}
#endif

namespace blitzio::fs {
namespace {

TEST(NoMemory, ADescriptorThatCannotBeKeptIsClosed) {
  if (BLITZIO_TSAN) GTEST_SKIP() << "the thread sanitizer has operators of its own";
  const detail::OpenJob job{"/dev/null", {.read = true}};
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  is_refused = true;
  const auto file = job.finish(fd);
  is_refused = false;
  ASSERT_FALSE(file.has_value());
  EXPECT_TRUE(file.error().is_os(ENOMEM));
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
  EXPECT_EQ(errno, EBADF);
}

}  // namespace
}  // namespace blitzio::fs
