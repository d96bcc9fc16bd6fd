#include <blitzio/signal/signal_set.hpp>

namespace blitzio::signal {

void SignalSet::Ear::on_signal(Listener& listener) noexcept {
  SignalSet& set = *static_cast<Ear&>(listener).set;
  // Release: pairs with the acquire in try_next().
  set.arrived_.fetch_or(std::uint64_t{1} << static_cast<unsigned>(listener.number() - 1),
                        std::memory_order_release);
  set.notify_.notify_one();
}

Result<std::unique_ptr<SignalSet>> SignalSet::listen(std::span<const int> numbers, Former former) {
  if (numbers.empty()) return fail(Error::runtime(RuntimeErrc::invalid_argument));
  std::unique_ptr<SignalSet> set(new SignalSet);
  set->ears_ = std::make_unique<Ear[]>(numbers.size());
  set->count_ = numbers.size();
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    set->ears_[i].set = set.get();
    if (auto started = set->ears_[i].start(numbers[i], former); !started) {
      return fail(started.error());
    }
  }
  return set;
}

void SignalSet::take_back(int number, Former former) noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (ears_[i].number() == number) ears_[i].take_back(former);
  }
}

void SignalSet::close() noexcept {
  for (std::size_t i = 0; i < count_; ++i) ears_[i].stop();
  // Release: pairs with the acquire in is_closed().
  is_closed_.store(true, std::memory_order_release);
  notify_.notify_one();  // who ends tells the next
}

}  // namespace blitzio::signal
