#include <blitzio/base/adaptive_spin.hpp>

#include <unistd.h>

namespace blitzio {

// Asked when the library is loaded: at the first use another thread could fork meanwhile, and its
// child would wait for the answer for ever.
const bool AdaptiveSpin::kHasOtherProcessors = ::sysconf(_SC_NPROCESSORS_ONLN) > 1;

}  // namespace blitzio
