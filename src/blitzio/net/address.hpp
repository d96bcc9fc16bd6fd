// `net::Address`: lives in base/, where dns/ can use it, too.
#pragma once

#include <blitzio/base/address.hpp>

namespace blitzio::net {

using blitzio::Address;

}  // namespace blitzio::net
