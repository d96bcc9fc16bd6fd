#include <blitzio/base/address.hpp>

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace blitzio {
namespace {

// What is known at compile time is.
static_assert(Address::loopback_v4(80).is_loopback() && Address::loopback_v4(80).port() == 80);
static_assert(Address::loopback_v6(1) == Address::loopback_v6(2).with_port(1));
static_assert(Address::any_v4(0).is_unspecified() && Address::any_v6(0).is_unspecified());
static_assert(Address::v4({239, 1, 2, 3}, 1).is_multicast());
static_assert(!Address::v6({0x20, 1}, 1).is_multicast());
static_assert(Address::local("/x")->is_local() && !Address::local(""));
static_assert(Address().family() == Address::Family::none);

class AddressText : public testing::TestWithParam<const char*> {};

TEST_P(AddressText, ComesBackAsItWas) {
  const auto address = Address::parse(GetParam());
  ASSERT_TRUE(address) << address.error().message();
  EXPECT_EQ(address->to_string(), GetParam());
  const Address::Native native = address->to_native();
  EXPECT_EQ(Address::from_sockaddr(native.get(), native.length), *address);
}

INSTANTIATE_TEST_SUITE_P(Each, AddressText,
                         testing::Values("127.0.0.1:80", "0.0.0.0:0", "255.255.255.255:65535",
                                         "[::1]:443", "[::]:1", "[2001:db8::ff00:42:8329]:8080",
                                         "[fe80::1%lo]:9", "/run/app.sock", "@abstract"));

TEST(Address, RefusesWhatIsNone) {
  const std::string long_path(Address::kPathBytesMax + 1, '/');
  for (const std::string& text :
       {std::string(""), std::string("127.0.0.1"), std::string("127.0.0.1:"),
        std::string("127.0.0.1:65536"), std::string("127.0.0.1:-1"), std::string("127.0.0.1: 80"),
        std::string("127.0.0.256:1"), std::string("localhost:80"), std::string("::1:80"),
        std::string("[::1]"), std::string("[::1:80"), std::string("[127.0.0.1]:80"),
        std::string("[fe80::1%no-such-interface]:1"), std::string("127.0.0.1%lo:1"),
        std::string("1.2.3.4\0:1", 10), std::string("@"), long_path, "@" + long_path}) {
    const auto address = Address::parse(text);
    EXPECT_FALSE(address) << text;
    if (!address) {
      EXPECT_TRUE(address.error().is(RuntimeErrc::invalid_argument)) << text;
    }
  }
}

TEST(Address, TellsTheHostWithoutThePort) {
  EXPECT_EQ(Address::parse("[fe80::1%lo]:9")->host(), "fe80::1%lo");
  EXPECT_EQ(Address::v6({0xfe, 0x80}, 1, 4'000'000'000).host(), "fe80::%4000000000");
  EXPECT_EQ(Address::loopback_v4(1).host(), "127.0.0.1");
  EXPECT_EQ(Address::local("/tmp/x")->host(), "/tmp/x");
  EXPECT_EQ(Address().to_string(), "");
}

TEST(Address, TellsItsFamilyAndWhatOnlyIPv6Has) {
  constexpr Address link_local = Address::v6({0xfe, 0x80}, 9, 3, 5);
  static_assert(link_local.is_v6() && !link_local.is_v4());
  static_assert(link_local.scope_id() == 3 && link_local.flow_info() == 5);
  static_assert(link_local != Address::v6({0xfe, 0x80}, 9, 4, 5));
  const Address::Native native = link_local.to_native();
  EXPECT_EQ(Address::from_sockaddr(native.get(), native.length), link_local);

  constexpr Address loopback = Address::loopback_v4(1);
  static_assert(loopback.is_v4() && !loopback.is_v6());
  static_assert(loopback.scope_id() == 0 && loopback.flow_info() == 0);

  EXPECT_EQ(link_local.native_family(), AF_INET6);
  EXPECT_EQ(loopback.native_family(), AF_INET);
  EXPECT_EQ(Address::local("/x")->native_family(), AF_UNIX);
  EXPECT_EQ(Address().native_family(), AF_UNSPEC);
}

TEST(Address, IsReadWithoutItsPort) {
  EXPECT_EQ(Address::parse_ip("127.0.0.1", 80), Address::loopback_v4(80));
  EXPECT_EQ(Address::parse_ip("::1", 443), Address::loopback_v6(443));
  EXPECT_EQ(Address::parse_ip("fe80::%7", 1), Address::v6({0xfe, 0x80}, 1, 7));
  for (const char* text : {"", "127.0.0.1:80", "[::1]", "localhost", "/x"}) {
    const auto address = Address::parse_ip(text, 1);
    ASSERT_FALSE(address) << text;
    EXPECT_TRUE(address.error().is(RuntimeErrc::invalid_argument)) << text;
  }
}

TEST(Address, AbstractNamesMayHaveAnyBytes) {
  const std::string_view name("\0a\0b", 4);
  const auto address = Address::local(name);
  ASSERT_TRUE(address);
  EXPECT_TRUE(address->is_abstract());
  const Address::Native native = address->to_native();
  EXPECT_EQ(Address::from_sockaddr(native.get(), native.length)->path(), name);
  EXPECT_FALSE(Address::local(std::string_view("/a\0b", 4))) << "a path may not";
}

TEST(Address, OfAnUnnamedUnixSocketIsNone) {
  sockaddr_storage storage{};
  storage.ss_family = AF_UNIX;
  const auto address =
      Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), sizeof(sa_family_t));
  ASSERT_TRUE(address);
  EXPECT_EQ(address->family(), Address::Family::none);
}

TEST(Address, RefusesOtherFamilies) {
  sockaddr_storage storage{};
  storage.ss_family = AF_NETLINK;
  EXPECT_FALSE(Address::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), sizeof storage));
}

}  // namespace
}  // namespace blitzio
