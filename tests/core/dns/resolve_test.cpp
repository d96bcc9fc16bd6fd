#include "core/net/support.hpp"

#include <blitzio/dns/resolve.hpp>

#include <netdb.h>

#include <algorithm>

namespace blitzio::dns {
namespace {

using net::get;
using Addresses = std::vector<Address>;

class Resolve : public net::Everywhere {
 protected:
  Result<Addresses> answer(std::string host, std::uint16_t port, Family family = Family::any) {
    Result<Addresses> found;
    run([](Result<Addresses>& out, std::string name, std::uint16_t at, Family of) -> Async<> {
      out = co_await resolve(name, at, of);
    }(found, std::move(host), port, family));
    return found;
  }
};

TEST_P(Resolve, AnswersNumericHostsInLine) {
  auto numeric = resolve("192.0.2.1", 80);
  auto polled = net::poll_once(numeric);
  ASSERT_TRUE(polled.is_ready());
  EXPECT_EQ(get(polled.value()), Addresses{Address::v4({192, 0, 2, 1}, 80)});
  EXPECT_EQ(get(answer("::1", 1, Family::v6)), Addresses{Address::loopback_v6(1)});
  const auto other = answer("::1", 1, Family::v4);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error(), Error::resolver(EAI_NONAME));
}

TEST_P(Resolve, FindsLocalhostOnceEach) {
  const auto addresses = get(answer("localhost", 7, Family::v4));
  EXPECT_EQ(addresses, Addresses{Address::loopback_v4(7)});
  const auto loopback = get(answer("", 7));
  EXPECT_TRUE(std::ranges::all_of(loopback, &Address::is_loopback));
  EXPECT_EQ(get(blocking_resolve("localhost", 7, Family::v4)), addresses);
}

TEST_P(Resolve, RefusesWhatIsNoName) {
  const auto malformed = answer(std::string("a\0b", 3), 1);
  ASSERT_FALSE(malformed);
  EXPECT_TRUE(malformed.error().is(RuntimeErrc::invalid_argument));
  // A label of more than 63 bytes is refused without asking anybody.
  const auto too_long = answer(std::string(64, 'a') + ".invalid", 1);
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().domain(), ErrorDomain::resolver);
}

TEST_P(Resolve, MayBeDroppedWhileItWaits) {
  auto dropped = spawn([]() -> Async<> { static_cast<void>(co_await resolve("localhost", 1)); }());
  dropped.cancel();
  EXPECT_TRUE(get(answer("localhost", 1)).front().is_loopback());
}

INSTANTIATE_TEST_SUITE_P(Each, Resolve, testing::ValuesIn(net::everywhere()), net::where_name);

}  // namespace
}  // namespace blitzio::dns
