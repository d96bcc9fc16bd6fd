#include <blitzio/base/intrusive_list.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <list>
#include <random>
#include <vector>

namespace blitzio {
namespace {

struct First;
struct Second;

struct Item : ListNode<First>, ListNode<Second> {
  explicit Item(int number = 0) : value(number) {}
  int value;
};

using FirstList = IntrusiveList<Item, First>;
using SecondList = IntrusiveList<Item, Second>;

template <class List>
std::vector<int> values(List& list) {
  std::vector<int> out;
  list.for_each([&](Item& item) { out.push_back(item.value); });
  return out;
}
template <class List>
void clear(List& list) {
  while (list.pop_front() != nullptr) {
  }
}
void unlink_first(Item& item) {
  static_cast<ListNode<First>&>(item).unlink();
}

TEST(IntrusiveList, KeepsTheOrderOfBothEnds) {
  std::array<Item, 3> items{Item(1), Item(2), Item(3)};
  FirstList list;
  EXPECT_TRUE(list.is_empty());
  EXPECT_EQ(list.pop_front(), nullptr);
  list.push_back(items[1]);
  list.push_back(items[2]);
  list.push_front(items[0]);
  EXPECT_EQ(values(list), (std::vector{1, 2, 3}));
  EXPECT_EQ(list.front().value, 1);
  EXPECT_EQ(list.back().value, 3);
  EXPECT_EQ(list.count(), 3U);
  EXPECT_EQ(list.pop_front(), items.data());
  clear(list);
  EXPECT_TRUE(list.is_empty());
}

TEST(IntrusiveList, AnElementCanBeInTwoListsAtOnce) {
  Item item(7);
  FirstList first;
  SecondList second;
  first.push_back(item);
  second.push_back(item);
  unlink_first(item);
  EXPECT_TRUE(first.is_empty());
  EXPECT_EQ(values(second), std::vector{7});
  clear(second);
}

TEST(IntrusiveList, SplicingMovesEverythingBehind) {
  std::array<Item, 4> items{Item(1), Item(2), Item(3), Item(4)};
  FirstList to;
  FirstList from;
  to.splice_back(from);
  EXPECT_TRUE(to.is_empty());
  to.push_back(items[0]);
  for (int i = 1; i < 4; ++i) from.push_back(items[static_cast<std::size_t>(i)]);
  to.splice_back(from);
  EXPECT_TRUE(from.is_empty());
  EXPECT_EQ(values(to), (std::vector{1, 2, 3, 4}));
  from.push_back(*to.pop_front());
  EXPECT_EQ(values(from), std::vector{1});
  clear(to);
  clear(from);
}

TEST(IntrusiveList, AVisitorMayUnlinkWhatItIsGiven) {
  std::array<Item, 5> items{Item(1), Item(2), Item(3), Item(4), Item(5)};
  FirstList list;
  for (Item& item : items) list.push_back(item);
  list.for_each([](Item& item) {
    if (item.value % 2 == 1) unlink_first(item);
  });
  EXPECT_EQ(values(list), (std::vector{2, 4}));
  clear(list);
}

TEST(IntrusiveList, AgreesWithAnOrdinaryListOnRandomOperations) {
  std::mt19937 random(11);
  std::array<Item, 32> items;
  for (std::size_t i = 0; i < items.size(); ++i) items[i].value = static_cast<int>(i);
  FirstList list;
  std::list<int> model;
  for (int step = 0; step < 10'000; ++step) {
    Item& item = items[random() % items.size()];
    const bool is_linked = static_cast<ListNode<First>&>(item).is_linked();
    ASSERT_EQ(is_linked, std::ranges::find(model, item.value) != model.end());
    if (is_linked) {
      unlink_first(item);
      model.remove(item.value);
    } else if (random() % 2 == 0) {
      list.push_back(item);
      model.push_back(item.value);
    } else {
      list.push_front(item);
      model.push_front(item.value);
    }
    ASSERT_EQ(values(list), std::vector<int>(model.begin(), model.end()));
  }
  clear(list);
}

TEST(IntrusiveListDeathTest, LinkingTwiceAndUnlinkingTwiceAbort) {
  EXPECT_DEATH(
      {
        Item item;
        FirstList list;
        list.push_back(item);
        list.push_back(item);
      },
      "check failed");
  EXPECT_DEATH(
      {
        Item item;
        unlink_first(item);
      },
      "check failed");
}

TEST(IntrusiveListDeathTest, ALinkedElementMustNotDie) {
  EXPECT_DEATH(
      {
        FirstList list;
        Item item;
        list.push_back(item);
      },
      "check failed");
}

}  // namespace
}  // namespace blitzio
