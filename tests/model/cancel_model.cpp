// `CancelToken`: a cancel reaches every child and every waiter, however late they come, and the
// nodes go with the last token.
#include <blitzio/executor/cancel_token.hpp>
#include <blitzio/task/block_on.hpp>

#include <model/support.hpp>

#include <gtest/gtest.h>

#include <optional>
#include <utility>

namespace blitzio::model {
namespace {

void cancel_a_waiter() {
  CancelToken token;
  int data = 0;
  Thread canceller([&, own = token] {
    data = 1;
    own.cancel();
  });
  block_on(token.cancelled());
  BLITZIO_CHECK(data == 1 && token.cancel_requested(), data);
  canceller.join();
}

TEST(CancelTokenModel, WhoWaitsIsTold) {
  expect_sound(cancel_a_waiter);
}

TEST(CancelTokenModel, AChildIsCancelledHoweverLateItIsMade) {
  expect_sound([] {
    CancelToken parent;
    Thread canceller([own = parent] { own.cancel(); });
    const CancelToken child = parent.child();
    block_on(child.cancelled());
    canceller.join();
  });
}

TEST(CancelTokenModel, AChildMayGoWhileItsParentIsCancelled) {
  expect_sound([] {
    CancelToken parent;
    std::optional<CancelToken> child(parent.child());
    std::optional<CancelToken> grandchild(child->child());
    Thread canceller([own = std::move(parent)] { own.cancel(); });
    child.reset();
    grandchild.reset();
    canceller.join();
  });
}

TEST(CancelTokenModel, TwoLevelsAreCancelledFromBothAtOnce) {
  expect_sound([] {
    CancelToken parent;
    CancelToken child = parent.child();
    const CancelToken grandchild = child.child();
    Thread above([&] { parent.cancel(); });
    Thread between([&] { child.cancel(); });
    block_on(grandchild.cancelled());
    above.join();
    between.join();
    BLITZIO_CHECK(parent.cancel_requested() && child.cancel_requested());
  });
}

TEST(CancelTokenModel, AWaiterMayLeaveWhileItIsTold) {
  expect_sound([] {
    CancelToken token;
    std::optional<CancelToken::Cancelled> leaving(token.cancelled());
    BLITZIO_CHECK(poll_once(*leaving).is_pending());
    Thread canceller([own = token] { own.cancel(); });
    leaving.reset();
    canceller.join();
  });
}

TEST(CancelTokenModel, FindsACancelThatDoesNotPublish) {
  expect_finds("data race",
               [] {
                 CancelToken token;
                 int data = 0;
                 Thread canceller([&] {
                   data = 1;
                   token.cancel();
                 });
                 if (token.cancel_requested()) BLITZIO_CHECK(data == 1, data);
                 canceller.join();
               },
               {.weakenings = {{.file = "executor/cancel_token.cpp",
                                .function = "mark",
                                .access = Access::store,
                                .from = std::memory_order_release}}});
}

}  // namespace
}  // namespace blitzio::model
