// The functions of blitzio.fs that work on paths and need no file of their own.
#include <blitzio/fs/paths.hpp>
#include <blitzio/fs/temporary.hpp>
#include <python/bindings/fs.hpp>
#include <python/bindings/fs_call.hpp>

namespace blitzio::python {

namespace {

#define BLITZIO_NAMES_OF(name)                \
  static constexpr const char* kName = #name; \
  static constexpr const char* kBlockingName = "blocking_" #name

template <std::size_t Count>
using Parameters = std::array<const char*, Count>;

struct OnlyPath : OnePath {
  static constexpr Parameters<1> kParameters{"path"};
  static constexpr std::size_t kRequired = 1;
};
struct PathAndMode : OnePath {
  static constexpr Parameters<2> kParameters{"path", "mode"};
  static constexpr std::size_t kRequired = 1;
  mode_t mode = 0777;
  [[nodiscard]] bool parse(const Arguments& arguments) noexcept {
    return OnePath::parse(arguments) && parse_mode(arguments[1], &mode);
  }
};
struct FromAndTo : TwoPaths {
  static constexpr Parameters<2> kParameters{"source", "target"};
  static constexpr std::size_t kRequired = 2;
};
struct TargetAndPath : TwoPaths {
  static constexpr Parameters<2> kParameters{"target", "path"};
  static constexpr std::size_t kRequired = 2;
};

struct Stat : OnePath {
  BLITZIO_NAMES_OF(stat);
  static constexpr Parameters<2> kParameters{"path", "follow_symlinks"};
  static constexpr std::size_t kRequired = 1;
  bool follow_symlinks = true;
  [[nodiscard]] bool parse(const Arguments& arguments) noexcept {
    return OnePath::parse(arguments) && parse_flag(arguments[1], &follow_symlinks);
  }
  [[nodiscard]] auto future() && { return fs::stat(std::move(path), follow_symlinks); }
  auto operator()() const { return fs::blocking_stat(path, follow_symlinks); }
};
struct Exists : OnlyPath {
  BLITZIO_NAMES_OF(exists);
  /// What no file can be called is not there, as with os.path.exists() and pathlib.
  [[nodiscard]] bool parse(const Arguments& arguments) noexcept {
    if (OnePath::parse(arguments)) return true;
    if (PyErr_ExceptionMatches(PyExc_ValueError) == 0) return false;
    PyErr_Clear();  // It is the answer.
    path.clear();
    return true;
  }
  [[nodiscard]] auto future() && { return fs::exists(std::move(path)); }
  auto operator()() const { return fs::blocking_exists(path); }
};
struct Mkdir : PathAndMode {
  BLITZIO_NAMES_OF(mkdir);
  [[nodiscard]] auto future() && { return fs::mkdir(std::move(path), mode); }
  auto operator()() const { return fs::blocking_mkdir(path, mode); }
};
struct MkdirAll : PathAndMode {
  BLITZIO_NAMES_OF(mkdir_all);
  auto operator()() const { return fs::blocking_mkdir_all(path, mode); }
};
struct SetPermissions : PathAndMode {
  BLITZIO_NAMES_OF(set_permissions);
  static constexpr std::size_t kRequired = 2;
  auto operator()() const { return fs::blocking_set_permissions(path, mode); }
};
struct RemoveDir : OnlyPath {
  BLITZIO_NAMES_OF(remove_dir);
  [[nodiscard]] auto future() && { return fs::remove_dir(std::move(path)); }
  auto operator()() const { return fs::blocking_remove_dir(path); }
};
struct RemoveDirAll : OnlyPath {
  BLITZIO_NAMES_OF(remove_dir_all);
  auto operator()() const { return fs::blocking_remove_dir_all(path); }
};
struct Remove : OnlyPath {
  BLITZIO_NAMES_OF(remove);
  [[nodiscard]] auto future() && { return fs::remove(std::move(path)); }
  auto operator()() const { return fs::blocking_remove(path); }
};
struct Rename : FromAndTo {
  BLITZIO_NAMES_OF(rename);
  [[nodiscard]] auto future() && { return fs::rename(std::move(path), std::move(other)); }
  auto operator()() const { return fs::blocking_rename(path, other); }
};
struct Copy : FromAndTo {
  BLITZIO_NAMES_OF(copy);
  auto operator()() const { return fs::blocking_copy(path, other); }
};
struct ReadLink : OnlyPath {
  BLITZIO_NAMES_OF(read_link);
  auto operator()() const { return fs::blocking_read_link(path); }
};
struct Symlink : TargetAndPath {
  BLITZIO_NAMES_OF(symlink);
  [[nodiscard]] auto future() && { return fs::symlink(std::move(path), std::move(other)); }
  auto operator()() const { return fs::blocking_symlink(path, other); }
};
struct HardLink : TargetAndPath {
  BLITZIO_NAMES_OF(hard_link);
  [[nodiscard]] auto future() && { return fs::hard_link(std::move(path), std::move(other)); }
  auto operator()() const { return fs::blocking_hard_link(path, other); }
};
/// All of a directory, as (name, type, inode).
struct ReadDir : OnlyPath {
  BLITZIO_NAMES_OF(read_dir);
  auto operator()() const { return fs::blocking_read_dir(path); }
};
/// A new directory; its path. The prefix is text, the folder a path.
struct TempDir : OnePath {
  BLITZIO_NAMES_OF(temp_dir);
  static constexpr Parameters<2> kParameters{"parent", "prefix"};
  static constexpr std::size_t kRequired = 2;
  std::string prefix;
  [[nodiscard]] bool parse(const Arguments& arguments) noexcept {
    PathArgument argument;
    if (!OnePath::parse(arguments) || !argument.parse(arguments[1])) return false;
    prefix = std::move(argument.bytes);
    return true;
  }
  auto operator()() const { return fs::blocking_temp_dir(prefix, path); }
};

#undef BLITZIO_NAMES_OF

PyObject* set_inline_writes(PyObject* /*module*/, PyObject* object) noexcept {
  bool allowed = true;
  if (!parse_flag(object, &allowed)) return nullptr;
  fs::set_inline_writes(allowed);
  Py_RETURN_NONE;
}

template <class Call>
PyMethodDef awaitable_form(const char* doc) noexcept {
  return {Call::kName, fast(path_call<Call>), METH_FASTCALL | METH_KEYWORDS, doc};
}
template <class Call>
PyMethodDef blocking_form(const char* doc) noexcept {
  return {Call::kBlockingName, fast(blocking_path_call<Call>), METH_FASTCALL | METH_KEYWORDS, doc};
}

// The signature is of both forms; what they do is told by the stub.
#define BLITZIO_BOTH(Call, name, parameters)                                       \
  awaitable_form<Call>(PyDoc_STR(name "(" parameters ")\n--\n\nSee blitzio.fs.")), \
      blocking_form<Call>(PyDoc_STR("blocking_" name "(" parameters ")\n--\n\nSee blitzio.fs."))

PyMethodDef functions[] = {
    BLITZIO_BOTH(Stat, "stat", "path, follow_symlinks=True"),
    BLITZIO_BOTH(Exists, "exists", "path"),
    BLITZIO_BOTH(Mkdir, "mkdir", "path, mode=0o777"),
    BLITZIO_BOTH(MkdirAll, "mkdir_all", "path, mode=0o777"),
    BLITZIO_BOTH(SetPermissions, "set_permissions", "path, mode"),
    BLITZIO_BOTH(RemoveDir, "remove_dir", "path"),
    BLITZIO_BOTH(RemoveDirAll, "remove_dir_all", "path"),
    BLITZIO_BOTH(Remove, "remove", "path"),
    BLITZIO_BOTH(Rename, "rename", "source, target"),
    BLITZIO_BOTH(Copy, "copy", "source, target"),
    BLITZIO_BOTH(ReadLink, "read_link", "path"),
    BLITZIO_BOTH(Symlink, "symlink", "target, path"),
    BLITZIO_BOTH(HardLink, "hard_link", "target, path"),
    BLITZIO_BOTH(ReadDir, "read_dir", "path"),
    blocking_form<TempDir>(PyDoc_STR("blocking_temp_dir(parent, prefix)\n--\n\nSee blitzio.fs.")),
    {"set_inline_writes", set_inline_writes, METH_O,
     PyDoc_STR("set_inline_writes(allowed, /)\n--\n\nSee blitzio.fs.")},
};

#undef BLITZIO_BOTH

}  // namespace

std::span<PyMethodDef> fs_path_functions() noexcept {
  return functions;
}

}  // namespace blitzio::python
