// Copies a file piece by piece, and compares the copy with what fs::copy() makes.
#include <blitzio/executor/local_executor.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/paths.hpp>
#include <blitzio/fs/temporary.hpp>
#include <blitzio/task/async.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

using namespace blitzio;

namespace {

Async<Result<std::uint64_t>> copy_by_pieces(std::string from, std::string to) {
  auto source = co_await fs::File::open(from);
  if (!source) co_return fail(source.error());
  auto target = co_await fs::File::open(to, {.write = true, .truncate = true, .create = true});
  if (!target) co_return fail(target.error());
  op::Bytes buffer(64 * 1024);
  for (;;) {
    auto piece = co_await source->read(std::move(buffer));
    if (!piece.count) co_return fail(piece.count.error());
    if (*piece.count == 0) break;
    piece.buffer.resize(*piece.count);
    auto written = co_await target->write_all(std::move(piece.buffer));
    if (!written) co_return fail(written.error());
    buffer.resize(64 * 1024);
  }
  const std::uint64_t size = target->position();
  auto closed = co_await target->close();
  if (!closed) co_return fail(closed.error());
  co_return size;
}

Async<Result<bool>> run() {
  auto folder = co_await fs::temp_dir();
  if (!folder) co_return fail(folder.error());
  const std::string original = folder->path() + "/original";
  auto written = co_await fs::write_file(original, op::Bytes(1'000'000, std::byte{7}));
  if (!written) co_return fail(written.error());
  auto size = co_await copy_by_pieces(original, folder->path() + "/pieces");
  if (!size) co_return fail(size.error());
  auto whole = co_await fs::copy(original, folder->path() + "/whole");
  if (!whole) co_return fail(whole.error());
  auto first = co_await fs::read_file(folder->path() + "/pieces");
  auto second = co_await fs::read_file(folder->path() + "/whole");
  if (!first || !second) co_return fail(first ? second.error() : first.error());
  std::printf("copied %llu bytes twice\n", static_cast<unsigned long long>(*size));
  co_return *size == *whole && *first == *second;
}

}  // namespace

int main() {
  try {
    auto executor = LocalExecutor::create();
    if (!executor) {
      std::fprintf(stderr, "no executor: %s\n", executor.error().message().c_str());
      return 1;
    }
    const auto done = (*executor)->block_on(run());
    if (!done) std::fprintf(stderr, "%s\n", done.error().message().c_str());
    return done && *done ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
