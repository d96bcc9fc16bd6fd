#include <python/bindings/box.hpp>
#include <python/bindings/fs_metadata.hpp>

#include <sys/stat.h>

#include <array>
#include <charconv>
#include <string>

namespace blitzio::python {

namespace {

using MetadataBox = Box<fs::Metadata>;

const fs::Metadata& metadata_of(PyObject* self) noexcept {
  return MetadataBox::of(self).value;
}

PyObject* from_number(std::uint64_t value) noexcept {
  return PyLong_FromUnsignedLongLong(value);
}
PyObject* nanoseconds(const timespec& at) noexcept {
  // In Python's integers: before 1678 and after 2262 these are more than 64 bits.
  const PyRef seconds = PyRef::steal(PyLong_FromLongLong(at.tv_sec));
  const PyRef unit = PyRef::steal(PyLong_FromLongLong(1'000'000'000));
  const PyRef rest = PyRef::steal(PyLong_FromLongLong(at.tv_nsec));
  if (!seconds || !unit || !rest) return nullptr;
  const PyRef whole = PyRef::steal(PyNumber_Multiply(seconds.get(), unit.get()));
  return whole ? PyNumber_Add(whole.get(), rest.get()) : nullptr;
}
PyObject* seconds(const timespec& at) noexcept {
  return PyFloat_FromDouble(static_cast<double>(at.tv_sec) +
                            1e-9 * static_cast<double>(at.tv_nsec));
}

template <auto kMember>
PyObject* number(PyObject* self, void* /*unused*/) {
  return from_number(static_cast<std::uint64_t>(metadata_of(self).raw().*kMember));
}
template <auto kMember>
PyObject* as_seconds(PyObject* self, void* /*unused*/) {
  return seconds(metadata_of(self).raw().*kMember);
}
template <auto kMember>
PyObject* as_nanoseconds(PyObject* self, void* /*unused*/) {
  return nanoseconds(metadata_of(self).raw().*kMember);
}
template <auto kQuestion>
PyObject* answer(PyObject* self, void* /*unused*/) {
  return PyBool_FromLong((metadata_of(self).*kQuestion)() ? 1 : 0);
}

std::string octal(mode_t mode) {
  std::array<char, 12> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), mode, 8).ptr;
  return {digits.data(), end};
}

PyObject* metadata_repr(PyObject* self) {
  const fs::Metadata& metadata = metadata_of(self);
  const char* kind = metadata.is_file()        ? "file"
                     : metadata.is_directory() ? "directory"
                     : metadata.is_symlink()   ? "symlink"
                                               : "other";
  const std::string mode = octal(metadata.mode());
  return PyUnicode_FromFormat("<blitzio.fs.Metadata %s size=%llu mode=0o%s>", kind,
                              static_cast<unsigned long long>(metadata.size()), mode.c_str());
}

PyGetSetDef attributes[] = {
    {"is_file", answer<&fs::Metadata::is_file>, nullptr, nullptr, nullptr},
    {"is_directory", answer<&fs::Metadata::is_directory>, nullptr, nullptr, nullptr},
    {"is_symlink", answer<&fs::Metadata::is_symlink>, nullptr, nullptr, nullptr},
    {"size", number<&stat::st_size>, nullptr, PyDoc_STR("Length in bytes."), nullptr},
    {"mode", number<&stat::st_mode>, nullptr, PyDoc_STR("Type and permissions."), nullptr},
    {"modified", as_seconds<&stat::st_mtim>, nullptr, nullptr, nullptr},
    {"changed", as_seconds<&stat::st_ctim>, nullptr, nullptr, nullptr},
    {"accessed", as_seconds<&stat::st_atim>, nullptr, nullptr, nullptr},
    {"st_mode", number<&stat::st_mode>, nullptr, nullptr, nullptr},
    {"st_ino", number<&stat::st_ino>, nullptr, nullptr, nullptr},
    {"st_dev", number<&stat::st_dev>, nullptr, nullptr, nullptr},
    {"st_nlink", number<&stat::st_nlink>, nullptr, nullptr, nullptr},
    {"st_uid", number<&stat::st_uid>, nullptr, nullptr, nullptr},
    {"st_gid", number<&stat::st_gid>, nullptr, nullptr, nullptr},
    {"st_size", number<&stat::st_size>, nullptr, nullptr, nullptr},
    {"st_blksize", number<&stat::st_blksize>, nullptr, nullptr, nullptr},
    {"st_blocks", number<&stat::st_blocks>, nullptr, nullptr, nullptr},
    {"st_rdev", number<&stat::st_rdev>, nullptr, nullptr, nullptr},
    {"st_atime", as_seconds<&stat::st_atim>, nullptr, nullptr, nullptr},
    {"st_mtime", as_seconds<&stat::st_mtim>, nullptr, nullptr, nullptr},
    {"st_ctime", as_seconds<&stat::st_ctim>, nullptr, nullptr, nullptr},
    {"st_atime_ns", as_nanoseconds<&stat::st_atim>, nullptr, nullptr, nullptr},
    {"st_mtime_ns", as_nanoseconds<&stat::st_mtim>, nullptr, nullptr, nullptr},
    {"st_ctime_ns", as_nanoseconds<&stat::st_ctim>, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

PyType_Slot slots[] = {{Py_tp_repr, slot(metadata_repr)}, {0, nullptr}};

}  // namespace

PyObject* make_metadata(ModuleState& state, const fs::Metadata& metadata) noexcept {
  return MetadataBox::make(state, state.metadata_type, metadata);
}

int fs_metadata_register(PyObject* module, ModuleState& state) noexcept {
  state.metadata_type =
      box_register<fs::Metadata>(module, {.name = "blitzio.fs.Metadata",
                                          .doc = "What is known of a file; see blitzio.fs.",
                                          .attributes = attributes,
                                          .more = slots,
                                          .home = state.fs_module});
  return state.metadata_type == nullptr ? -1 : 0;
}

}  // namespace blitzio::python
