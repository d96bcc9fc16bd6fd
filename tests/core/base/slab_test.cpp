#include <blitzio/base/slab.hpp>

#include <gtest/gtest.h>

#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace blitzio {
namespace {

TEST(Slab, GivesDistinctObjectsAndReusesTheLatestFreedCell) {
  Slab<std::string, 4> slab;
  std::set<std::string*> seen;
  std::vector<std::string*> made;
  for (int i = 0; i < 10; ++i) {
    made.push_back(slab.create(40, static_cast<char>('a' + i)));
    EXPECT_TRUE(seen.insert(made.back()).second);
  }
  EXPECT_EQ(slab.size(), 10U);
  EXPECT_EQ(slab.capacity(), 12U);
  EXPECT_EQ(made[3]->front(), 'd');
  slab.destroy(*made[3]);
  EXPECT_EQ(slab.create("again"), made[3]);
  for (auto* object : made) slab.destroy(*object);
  EXPECT_EQ(slab.size(), 0U);
  EXPECT_EQ(slab.capacity(), 12U);
}

struct Nested {
  Nested(Slab<Nested, 2>& slab, int depth)
      : inner(depth > 0 ? slab.create(slab, depth - 1) : nullptr) {}
  Nested* inner;
};

TEST(Slab, AConstructorMayCreateOthers) {
  Slab<Nested, 2> slab;
  Nested* outer = slab.create(slab, 5);
  EXPECT_EQ(slab.size(), 6U);
  while (outer != nullptr) {
    Nested* next = outer->inner;
    slab.destroy(*outer);
    outer = next;
  }
}

struct Throws {
  explicit Throws(bool really) {
    if (really) throw std::runtime_error("no");
  }
};

TEST(Slab, AThrowingConstructorGivesItsCellBack) {
  Slab<Throws, 1> slab;
  EXPECT_THROW(static_cast<void>(slab.create(true)), std::runtime_error);
  Throws* made = slab.create(false);
  EXPECT_EQ(slab.capacity(), 1U);
  slab.destroy(*made);
}

}  // namespace
}  // namespace blitzio
