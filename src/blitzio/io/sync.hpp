// `io::Mutex`, `io::Condition`: between tasks of an Io.
//
// They are those of blitzio::sync, and so are usable with all else that is there: a lock knows no
// Io. Who waits leaves a waker, and what a waker does is its task's business: to wake a thread, to
// queue a task, to be chosen by a simulation's seed. So a lock may be shared by tasks of different
// implementations, too, and a simulation finds it out when all wait for one another.
#pragma once

#include <blitzio/sync/condition.hpp>
#include <blitzio/sync/mutex.hpp>

namespace blitzio::io {

using sync::Condition;
using sync::Mutex;
using sync::MutexGuard;

}  // namespace blitzio::io
