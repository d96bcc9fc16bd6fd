#include <model/explorer/path.hpp>

#include <bit>

namespace blitzio::model {

std::optional<unsigned> Path::schedule(unsigned enabled, int preempted, unsigned preferred) {
  if (at_ == 0) last_schedule_ = kNone;
  if (at_ < branches_.size()) {
    Branch& branch = branches_[at_];
    if (!branch.is_schedule) return std::nullopt;
    if (branch.is_given) {
      branch.enabled = static_cast<std::uint8_t>(enabled);
    } else if (branch.enabled != enabled) {
      return std::nullopt;
    }
    if ((enabled >> branch.chosen & 1U) == 0) return std::nullopt;
    last_schedule_ = at_++;
    return branch.chosen;
  }
  Branch branch;
  branch.is_schedule = true;
  branch.chosen = static_cast<std::uint8_t>(preferred);
  branch.enabled = static_cast<std::uint8_t>(enabled);
  branch.todo = static_cast<std::uint8_t>(is_reduced_ ? 1U << preferred : enabled);
  branch.preempted = static_cast<std::int8_t>(preempted);
  branch.before = last_schedule_;
  if (branch.before != kNone) {
    const Branch& before = branches_[branch.before];
    branch.preemptions =
        static_cast<std::uint16_t>(before.preemptions + cost(before, before.chosen));
  }
  branches_.push_back(branch);
  place(at_);
  last_schedule_ = at_++;
  return preferred;
}

std::optional<unsigned> Path::choose(unsigned count) {
  if (count == 1) return 0;
  if (at_ < branches_.size()) {
    Branch& branch = branches_[at_];
    if (branch.is_schedule) return std::nullopt;
    if (branch.is_given) {
      branch.count = static_cast<std::uint8_t>(count);
    } else if (branch.count != count) {
      return std::nullopt;
    }
    if (branch.chosen >= count) return std::nullopt;
    ++at_;
    return branch.chosen;
  }
  Branch branch;
  branch.count = static_cast<std::uint8_t>(count);
  branches_.push_back(branch);
  ++at_;
  return 0;
}

void Path::add_backtrack(std::size_t index, unsigned thread) noexcept {
  add_alternative(branches_[index], thread);
  const std::size_t block = branches_[index].block;
  if (block != index) add_alternative(branches_[block], thread);
}

// A thread that could not go on there may become able to by any other's step.
void Path::add_alternative(Branch& branch, unsigned thread) noexcept {
  const unsigned bit = 1U << thread;
  branch.todo |= static_cast<std::uint8_t>((branch.enabled & bit) != 0 ? bit : branch.enabled);
}

// Finds the beginning of the run of steps that the decision at `index` belongs to.
void Path::place(std::size_t index) noexcept {
  Branch& branch = branches_[index];
  const bool goes_on = branch.before != kNone && branches_[branch.before].chosen == branch.chosen;
  branch.block = goes_on ? branches_[branch.before].block : index;
}

bool Path::advance() noexcept {
  for (; !branches_.empty(); branches_.pop_back()) {
    Branch& branch = branches_.back();
    if (branch.is_given) continue;
    if (!branch.is_schedule) {
      if (branch.chosen + 1 == branch.count) continue;
      ++branch.chosen;
      return true;
    }
    branch.done |= static_cast<std::uint8_t>(1U << branch.chosen);
    for (unsigned left = branch.todo & ~branch.done; left != 0; left &= left - 1) {
      const auto thread = static_cast<unsigned>(std::countr_zero(left));
      if (branch.preemptions + cost(branch, thread) > preemptions_max_) {
        was_bounded_ = true;
        continue;
      }
      branch.chosen = static_cast<std::uint8_t>(thread);
      place(branches_.size() - 1);
      return true;
    }
  }
  return false;
}

std::string Path::text() const {
  std::string text;
  text.reserve(at_);
  for (std::size_t i = 0; i < at_; ++i) {
    const Branch& branch = branches_[i];
    text += static_cast<char>((branch.is_schedule ? '0' : 'a') + branch.chosen);
  }
  return text;
}

void Path::replay(std::string_view text) {
  branches_.clear();
  for (const char decision : text) {
    Branch branch;
    branch.is_given = true;
    branch.is_schedule = decision >= '0' && decision <= '9';
    branch.chosen = static_cast<std::uint8_t>(decision - (branch.is_schedule ? '0' : 'a'));
    branches_.push_back(branch);
  }
  at_ = 0;
}

}  // namespace blitzio::model
