#include <blitzio/fs/temporary.hpp>

#include <blitzio/fs/detail/calls.hpp>

#include <fcntl.h>
#include <stdlib.h>  // NOLINT(modernize-deprecated-headers): mkdtemp, mkostemp

#include <cstdlib>

namespace blitzio::fs {

namespace {

// The empty path is where the program is, not the root, in front of what is joined to it.
std::string folder_of(const std::string& parent) {
  return parent.empty() ? "." : parent;
}

std::string name_pattern(std::string_view prefix, const std::string& parent) {
  return folder_of(parent) + "/" + std::string(prefix) + "XXXXXX";
}

// An open file of a name nobody else has, and the name.
Result<std::pair<OwnedFd, std::string>> make_file(std::string_view prefix,
                                                  const std::string& parent) {
  std::string path = name_pattern(prefix, parent);
  if (auto checked = detail::check_path(path); !checked) return fail(checked.error());
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return fail(Error::os(errno));
  return std::pair(OwnedFd::adopt(fd), std::move(path));
}

Result<File> to_file(OwnedFd fd) {
  // Let go of first: where adopting throws, the descriptor was taken over, and closed.
  const int number = fd.release();
  auto file = File::adopt_fd(number);
  if (!file) fd.reset(number);
  return file;
}

}  // namespace

std::string temp_folder() {
  const char* folder = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): as everybody does
  return folder != nullptr && *folder != '\0' ? folder : "/tmp";
}

TempPath::~TempPath() {
  if (!path_.empty()) static_cast<void>(blocking_remove_path(kind_, path_));
}

Result<void> TempPath::blocking_remove_path(Kind kind, const std::string& path) {
  return kind == Kind::directory ? blocking_remove_dir_all(path) : blocking_remove(path);
}

Result<TempPath> blocking_temp_dir(std::string_view prefix, const std::string& parent) {
  std::string path = name_pattern(prefix, parent);
  if (auto checked = detail::check_path(path); !checked) return fail(checked.error());
  if (::mkdtemp(path.data()) == nullptr) return fail(Error::os(errno));
  return TempPath(TempPath::Kind::directory, std::move(path));
}

Result<NamedTempFile> blocking_named_temp_file(std::string_view prefix, const std::string& parent) {
  auto made = make_file(prefix, parent);
  if (!made) return fail(made.error());
  TempPath path(TempPath::Kind::file, std::move(made->second));
  auto file = to_file(std::move(made->first));
  if (!file) return fail(file.error());
  return NamedTempFile{std::move(*file), std::move(path)};
}

Result<File> blocking_temp_file(const std::string& parent) {
  auto opened = detail::blocking_open(folder_of(parent), O_TMPFILE | O_RDWR, 0600);
  if (opened) return to_file(std::move(opened->fd));
  // What the file system, or an old kernel, says that has no such thing.
  if (!opened.error().is_os(EOPNOTSUPP) && !opened.error().is_os(EISDIR)) {
    return fail(opened.error());
  }
  auto made = make_file("blitzio-", parent);
  if (!made) return fail(made.error());
  if (auto gone = blocking_remove(made->second); !gone) return fail(gone.error());
  return to_file(std::move(made->first));
}

}  // namespace blitzio::fs
