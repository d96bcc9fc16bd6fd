// What a file operation does when there is no memory for its result.
//
// A program of its own, for it replaces operator new and close().
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/temporary.hpp>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

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

namespace {
thread_local int closed_in_vain = 0;  // calls of close(2) with what is not open
}  // namespace

extern "C" int close(int fd) {
  const auto result = static_cast<int>(::syscall(SYS_close, fd));
  if (result != 0 && errno == EBADF) ++closed_in_vain;
  return result;
}

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

// It was closed twice, the second time perhaps as another thread's.
TEST(NoMemory, ATemporaryFileThatCannotBeKeptIsClosedOnce) {
  if (BLITZIO_TSAN) GTEST_SKIP() << "the thread sanitizer has operators of its own";
  const std::string folder = temp_folder();
  closed_in_vain = 0;
  is_refused = true;
  EXPECT_THROW(static_cast<void>(blocking_temp_file(folder)), std::bad_alloc);
  is_refused = false;
  EXPECT_EQ(closed_in_vain, 0);
}

}  // namespace
}  // namespace blitzio::fs
