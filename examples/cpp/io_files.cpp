// Parallel file processing: a task for each file in one group, on threads that may block.
#include <blitzio/io/file_system.hpp>
#include <blitzio/io/io.hpp>
#include <blitzio/io/threaded.hpp>
#include <blitzio/task/async.hpp>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace blitzio;

namespace {

// The value of a Result; an error ends the task, and with it its group.
template <class T>
T get(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

op::Bytes transform(op::Bytes data) {
  for (std::byte& byte : data) {
    byte = static_cast<std::byte>(std::toupper(std::to_integer<int>(byte)));
  }
  return data;
}

Async<void> process_file(Io io, std::string path) {
  op::Bytes data = get(co_await io.fs().read_file(path));
  get(co_await io.fs().write_file(path + ".out", transform(std::move(data))));
}

Async<bool> program(Io io, std::string folder) {
  std::vector<std::string> paths;
  for (const char* name : {"a.txt", "b.txt", "c.txt", "d.txt"}) {
    paths.push_back(folder + "/" + name);
    get(co_await io.fs().write_file(paths.back(), io::bytes_of(std::string("text of ") + name)));
  }

  IoGroup group = io.group();
  for (const std::string& path : paths) group.async_(process_file, io, path);
  co_await group.wait();

  bool is_right = true;
  for (const std::string& path : paths) {
    const op::Bytes out = get(co_await io.fs().read_file(path + ".out"));
    is_right &= io::text_of(out).starts_with("TEXT OF ");
  }
  std::printf("processed %zu files\n", paths.size());
  co_return is_right;
}

}  // namespace

int main() {
  std::string folder = (std::filesystem::temp_directory_path() / "blitzio-XXXXXX").string();
  if (::mkdtemp(folder.data()) == nullptr) return 1;
  int status = 1;
  try {
    io::Threaded threaded;
    status = threaded.io().run(program, threaded.io(), folder) ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
  }
  std::filesystem::remove_all(folder);
  return status;
}
