#include <blitzio/base/error.hpp>
#include <blitzio/base/result.hpp>

#include <gtest/gtest.h>
#include <netdb.h>

#include <cerrno>
#include <set>
#include <string>
#include <type_traits>

namespace blitzio {
namespace {

static_assert(std::is_trivially_copyable_v<Error>);

TEST(Error, KeepsItsDomainAndTheUntouchedCode) {
  const Error os = Error::os(ECONNRESET);
  EXPECT_EQ(os.domain(), ErrorDomain::os);
  EXPECT_EQ(os.code(), ECONNRESET);
  EXPECT_TRUE(os.is_os(ECONNRESET));
  EXPECT_FALSE(os.is_os(EPIPE));
  EXPECT_EQ(Error::resolver(EAI_NONAME).code(), EAI_NONAME);
  EXPECT_TRUE(Error::runtime(RuntimeErrc::closed).is(RuntimeErrc::closed));
}

TEST(Error, TheSameNumberInTwoDomainsIsNotTheSameError) {
  const Error os = Error::os(static_cast<int>(RuntimeErrc::closed));
  EXPECT_FALSE(os.is(RuntimeErrc::closed));
  EXPECT_NE(os, Error::runtime(RuntimeErrc::closed));
  EXPECT_EQ(os, Error::os(static_cast<int>(RuntimeErrc::closed)));
}

TEST(Error, MessagesComeFromWhoeverGaveTheCode) {
  EXPECT_EQ(Error::os(ENOENT).message(), "No such file or directory");
  EXPECT_EQ(Error::resolver(EAI_NONAME).message(), gai_strerror(EAI_NONAME));
}

TEST(Error, EachRuntimeErrorHasItsOwnMessage) {
  std::set<std::string> messages;
  int count = 0;
  for (const RuntimeErrc code :
       {RuntimeErrc::closed, RuntimeErrc::invalid_argument, RuntimeErrc::shut_down,
        RuntimeErrc::backend_unavailable, RuntimeErrc::cancelled, RuntimeErrc::timed_out,
        RuntimeErrc::unexpected_end, RuntimeErrc::limit_exceeded}) {
    messages.insert(Error::runtime(code).message());
    ++count;
  }
  EXPECT_EQ(messages.size(), static_cast<std::size_t>(count));
  EXPECT_FALSE(messages.contains("unknown runtime error"));
}

TEST(Result, FailMakesTheFailingHalf) {
  const Result<int> failed = fail(Error::os(EAGAIN));
  ASSERT_FALSE(failed.has_value());
  EXPECT_TRUE(failed.error().is_os(EAGAIN));
  const Result<int> good = 3;
  EXPECT_EQ(good.value(), 3);
}

}  // namespace
}  // namespace blitzio
