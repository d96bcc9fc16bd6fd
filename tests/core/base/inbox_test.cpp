#include <blitzio/base/inbox.hpp>

#include <gtest/gtest.h>

#include <array>
#include <thread>
#include <vector>

namespace blitzio {
namespace {

struct Letter : InboxNode {
  int sender = 0;
  int number = 0;
};

TEST(Inbox, HandsOverInOrderOfArrival) {
  std::array<Letter, 3> letters;
  Inbox<Letter> inbox;
  EXPECT_TRUE(inbox.is_empty());
  for (int i = 0; i < 3; ++i) {
    letters[static_cast<std::size_t>(i)].number = i;
    EXPECT_EQ(inbox.push(letters[static_cast<std::size_t>(i)]), i == 0)
        << "the first of a batch learns that it is";
  }
  std::vector<int> seen;
  inbox.take_all([&](Letter& letter) { seen.push_back(letter.number); });
  EXPECT_EQ(seen, (std::vector{0, 1, 2}));
  EXPECT_TRUE(inbox.is_empty());
}

TEST(Inbox, WhatAVisitorPushesIsLeftForTheNextTake) {
  Letter letter;
  Inbox<Letter> inbox;
  inbox.push(letter);
  int visits = 0;
  inbox.take_all([&](Letter& taken) {
    ++visits;
    inbox.push(taken);
  });
  EXPECT_EQ(visits, 1);
  EXPECT_FALSE(inbox.is_empty());
  inbox.take_all([&](Letter&) { ++visits; });
  EXPECT_EQ(visits, 2);
}

TEST(Inbox, LookingTakesNothing) {
  std::array<Letter, 3> letters;
  Inbox<Letter> inbox;
  for (int i = 0; i < 3; ++i) {
    letters[static_cast<std::size_t>(i)].number = i;
    inbox.push(letters[static_cast<std::size_t>(i)]);
  }
  std::vector<int> seen;
  inbox.for_each([&](const Letter& letter) { seen.push_back(letter.number); });
  EXPECT_EQ(seen, (std::vector<int>{2, 1, 0}));
  seen.clear();
  inbox.take_all([&](Letter& letter) { seen.push_back(letter.number); });
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2}));
}

TEST(Inbox, AVisitorMayDestroyWhatItIsGiven) {
  Inbox<Letter> inbox;
  for (int i = 0; i < 3; ++i) inbox.push(*new Letter);
  int visits = 0;
  inbox.take_all([&](Letter& letter) {
    ++visits;
    delete &letter;
  });
  EXPECT_EQ(visits, 3);
}

TEST(Inbox, ManyThreadsLoseNothingAndKeepTheirOwnOrder) {
  constexpr int kSenders = 4;
  constexpr int kLetters = 20'000;
  std::vector<std::vector<Letter>> letters(kSenders, std::vector<Letter>(kLetters));
  Inbox<Letter> inbox;
  std::vector<std::thread> senders;
  for (int sender = 0; sender < kSenders; ++sender) {
    senders.emplace_back([&, sender] {
      for (int i = 0; i < kLetters; ++i) {
        Letter& letter = letters[static_cast<std::size_t>(sender)][static_cast<std::size_t>(i)];
        letter.sender = sender;
        letter.number = i;
        inbox.push(letter);
      }
    });
  }
  std::array<int, kSenders> next{};
  int total = 0;
  bool in_order = true;
  while (total < kSenders * kLetters) {
    inbox.take_all([&](Letter& letter) {
      in_order &= letter.number == next[static_cast<std::size_t>(letter.sender)]++;
      ++total;
    });
  }
  for (std::thread& sender : senders) sender.join();
  EXPECT_TRUE(in_order);
  EXPECT_TRUE(inbox.is_empty());
}

TEST(InboxDeathTest, DyingWithUndeliveredElementsAborts) {
  EXPECT_DEATH(
      {
        Letter letter;
        Inbox<Letter> inbox;
        inbox.push(letter);
      },
      "check failed");
}

}  // namespace
}  // namespace blitzio
