#include <blitzio/executor/group.hpp>

#include <blitzio/task/block_on.hpp>

namespace blitzio {

Group::Group() : runtime_(Runtime::current()) {
  BLITZIO_CHECK(runtime_ != nullptr);  // neither in a task of a Runtime nor in its block_on()
}

void Group::blocking_wait() {
  block_on(wait());
}

}  // namespace blitzio
