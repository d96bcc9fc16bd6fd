// Choosing a backend: what detect() reports and what create() makes of it.
#include <blitzio/driver/driver.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <string_view>

namespace blitzio::driver {
namespace {

using testing::Contains;

TEST(Detect, ReportsEachBackendOnceInOrderOfPreference) {
  std::vector<Backend> order;
  for (const Availability& one : detect()) order.push_back(one.backend);
  EXPECT_EQ(order, (std::vector{Backend::io_uring, Backend::epoll, Backend::poll}));
}

TEST(Detect, GivesAReasonExactlyForWhatCanNotRun) {
  for (const Availability& one : detect()) {
    EXPECT_EQ(one.usable, one.reason.empty()) << name(one.backend) << ": " << one.reason;
    EXPECT_TRUE(one.usable || one.features.empty());
  }
}

TEST(Detect, ProbesOncePerProcess) {
  EXPECT_EQ(&detect(), &detect());
}

TEST(Detect, ReadinessBackendsAlwaysRunHere) {
  EXPECT_TRUE(detect()[1].usable) << detect()[1].reason;
  EXPECT_TRUE(detect()[2].usable) << detect()[2].reason;
}

#if BLITZIO_HAS_IO_URING
TEST(Detect, AUsableIoUringNamesWhatTheDriverBuildsOn) {
  const Availability& io_uring = detect()[0];
  if (!io_uring.usable) GTEST_SKIP() << io_uring.reason;
  EXPECT_THAT(io_uring.features, Contains("provided_buffer_rings"));
  EXPECT_THAT(io_uring.features, Contains("cqe_skip"));
}
#else
TEST(Detect, SaysThatTheBuildHasNoLiburing) {
  EXPECT_FALSE(detect()[0].usable);
  EXPECT_EQ(detect()[0].reason, "blitzio was built without liburing");
}
#endif

TEST(Create, AutomaticTakesTheFirstUsableBackend) {
  const auto made = create();
  ASSERT_TRUE(made) << made.error().message();
  const auto first = std::ranges::find_if(detect(), &Availability::usable);
  EXPECT_EQ((*made)->backend(), first->backend);
}

TEST(Create, MakesEveryUsableBackendByName) {
  for (const Availability& one : detect()) {
    const auto made = create({.backend = one.backend});
    if (one.usable) {
      ASSERT_TRUE(made) << name(one.backend) << ": " << made.error().message();
      EXPECT_EQ((*made)->backend(), one.backend);
    } else {
      ASSERT_FALSE(made);
      EXPECT_TRUE(made.error().is(RuntimeErrc::backend_unavailable));
    }
  }
}

TEST(Create, RefusesAConfigOutOfRangeForEveryBackend) {
  for (const Backend backend :
       {Backend::automatic, Backend::io_uring, Backend::epoll, Backend::poll}) {
    for (Config config : {
             Config{.ring_entries = 32'769},
             Config{.buffer_bytes = 0},
             Config{.buffer_bytes = 4095},
             Config{.buffer_bytes = 32 * 1024 * 1024},
             Config{.buffer_count = 12},
             Config{.buffer_count = 8192},
             Config{.buffer_count_max = 0},
         }) {
      config.backend = backend;
      const auto made = create(config);
      ASSERT_FALSE(made) << name(backend);
      EXPECT_TRUE(made.error().is(RuntimeErrc::invalid_argument)) << name(backend);
    }
  }
}

TEST(Create, ReportsThatNoDescriptorIsLeft) {
  (void)detect();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const int next = ::dup(0);
  ASSERT_GE(next, 0);
  ::close(next);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(next);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  for (const Backend backend : {Backend::automatic, Backend::io_uring, Backend::epoll}) {
    if (backend == Backend::io_uring && !detect()[0].usable) continue;
    const auto made = create({.backend = backend});
    // A poll driver needs descriptors too, so no backend is left for `automatic`.
    EXPECT_TRUE(!made && made.error().is_os(EMFILE)) << name(backend);
  }
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

#if BLITZIO_HAS_IO_URING
// From here on io_uring_setup fails with `code`, as a container's filter would have it.
bool forbid_io_uring(int code) {
  std::array<sock_filter, 4> program = {{
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(code)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  }};
  const sock_fprog filter{program.size(), program.data()};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

// Runs in a fresh process, where nothing has been probed yet.
[[noreturn]] void expect_fallback(int code, std::string_view reason) {
  if (!forbid_io_uring(code)) ::_exit(2);
  const Availability& io_uring = detect()[0];
  const auto automatic = create();
  const auto named = create({.backend = Backend::io_uring});
  const bool right = !io_uring.usable && io_uring.reason.contains(reason) && automatic &&
                     (*automatic)->backend() == Backend::epoll && !named &&
                     named.error().is(RuntimeErrc::backend_unavailable);
  std::fprintf(stderr, "%s\n", io_uring.reason.c_str());
  ::_exit(right ? 0 : 1);
}

TEST(DetectDeathTest, AForbiddenIoUringIsExplainedAndEpollTakesItsPlace) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(expect_fallback(EPERM, "forbids it"), testing::ExitedWithCode(0), "io_uring_setup");
  EXPECT_EXIT(expect_fallback(ENOSYS, "this kernel has no io_uring"), testing::ExitedWithCode(0),
              "io_uring_setup");
  EXPECT_EXIT(expect_fallback(ENOMEM, "RLIMIT_MEMLOCK"), testing::ExitedWithCode(0),
              "io_uring_setup");
}
#endif

TEST(ParseBackend, IsTheInverseOfName) {
  for (const Backend backend :
       {Backend::automatic, Backend::io_uring, Backend::epoll, Backend::poll}) {
    const auto parsed = parse_backend(name(backend));
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed, backend);
  }
  const auto unknown = parse_backend("kqueue");
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().is(RuntimeErrc::invalid_argument));
}

}  // namespace
}  // namespace blitzio::driver
