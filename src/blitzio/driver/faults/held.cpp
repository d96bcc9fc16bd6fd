#include <blitzio/base/faults.hpp>
#include <blitzio/driver/faults/held.hpp>

#include <algorithm>
#include <utility>

namespace blitzio::driver {

namespace {

using faults::below;
using faults::Fault;
using faults::hit;

constexpr std::uint64_t kTurnsMax = 4;

}  // namespace

void HeldCompletions::hold(Operation& operation, const Completion& completion,
                           std::uint32_t turns) {
  held_.push_back({&operation,
                   completion.result,
                   completion.more,
                   turns,
                   {completion.data.begin(), completion.data.end()}});
  ++counts_[&operation];
}

bool HeldCompletions::keep(Operation& operation, Completion& completion) {
  if (is_closed_) return false;
  // What comes behind a held one waits for it.
  const bool is_behind = !counts_.empty() && counts_.contains(&operation);
  if (is_behind || hit(Fault::late)) {
    hold(operation, completion, static_cast<std::uint32_t>(below(kTurnsMax)));
    return true;
  }
  if (!operation.brings_data()) return false;
  const std::size_t bytes = completion.data.size();
  const std::size_t first = faults::perhaps_fewer(bytes);
  if (first == bytes) return false;
  const auto rest = completion.data.subspan(first);
  hold(operation, {static_cast<std::int32_t>(rest.size()), completion.more, rest}, 0);
  completion = {static_cast<std::int32_t>(first), true, completion.data.first(first)};
  return false;
}

void HeldCompletions::advance() {
  std::vector<Held> later;
  std::vector<const Operation*> blocked;
  for (Held& held : std::exchange(held_, {})) {
    const bool is_blocked = std::ranges::find(blocked, held.operation) != blocked.end();
    if (is_blocked || held.turns > 0) {
      if (held.turns > 0) --held.turns;
      if (!is_blocked) blocked.push_back(held.operation);
      later.push_back(std::move(held));
    } else {
      due_.push_back(std::move(held));
    }
  }
  held_ = std::move(later);
  for (std::size_t i = 1; i < due_.size(); ++i) {
    if (due_[i - 1].operation != due_[i].operation && below(2) == 0) {
      std::swap(due_[i - 1], due_[i]);
    }
  }
}

void HeldCompletions::close() {
  is_closed_ = true;
  for (Held& held : std::exchange(held_, {})) due_.push_back(std::move(held));
}

std::optional<HeldCompletions::Held> HeldCompletions::next_due() {
  if (due_.empty()) return {};
  Held held = std::move(due_.front());
  due_.pop_front();
  const auto found = counts_.find(held.operation);
  if (--found->second == 0) counts_.erase(found);
  return held;
}

bool HeldCompletions::has_last(const Operation& operation) const noexcept {
  const auto is_last = [&](const Held& held) { return held.operation == &operation && !held.more; };
  return counts_.contains(&operation) &&
         (std::ranges::any_of(held_, is_last) || std::ranges::any_of(due_, is_last));
}

namespace {

void perhaps_shorten(int fd, std::size_t& bytes) noexcept {
  const std::size_t fewer = faults::perhaps_fewer(bytes);
  if (fewer != bytes && faults::may_be_short(fd)) bytes = fewer;
}

}  // namespace

void perhaps_shorten(Operation& operation) noexcept {
  Operation::Args& args = operation.args();
  switch (operation.kind()) {
    case OpKind::recv:
    case OpKind::send:
      if ((args.socket_buffer.flags & (MSG_OOB | MSG_ERRQUEUE)) != 0) return;
      return perhaps_shorten(operation.fd(), args.socket_buffer.bytes);
    case OpKind::read:
    case OpKind::write:
      return perhaps_shorten(operation.fd(), args.buffer.bytes);
    case OpKind::readv:
    case OpKind::writev: {
      const auto fewer = static_cast<std::uint32_t>(faults::perhaps_fewer(args.vectors.count));
      if (fewer == args.vectors.count || !faults::may_be_short(operation.fd())) return;
      // Vectors of no bytes, alone, would make a read look like the end of the file.
      const std::span<const iovec> kept{args.vectors.vectors, fewer};
      if (std::ranges::all_of(kept, [](const iovec& v) { return v.iov_len == 0; })) return;
      args.vectors.count = fewer;
      return;
    }
    default:
      return;
  }
}

}  // namespace blitzio::driver
