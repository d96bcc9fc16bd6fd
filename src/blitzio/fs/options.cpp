#include <blitzio/fs/options.hpp>

#include <fcntl.h>

namespace blitzio::fs {

Result<int> open_flags(const OpenOptions& options) noexcept {
  const bool writes = options.write || options.append;
  const bool makes = options.create || options.create_new;
  if ((!options.read && !writes) || (makes && !writes) || (options.truncate && !options.write)) {
    return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  int flags = options.flags | O_CLOEXEC;
  flags |= options.read && writes ? O_RDWR : writes ? O_WRONLY : O_RDONLY;
  if (options.append) flags |= O_APPEND;
  if (options.truncate) flags |= O_TRUNC;
  if (makes) flags |= O_CREAT;
  if (options.create_new) flags |= O_EXCL;
  return flags;
}

}  // namespace blitzio::fs
