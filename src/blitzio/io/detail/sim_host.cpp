#include <blitzio/io/detail/sim_host.hpp>

#include <blitzio/task/async.hpp>

#include <csignal>

namespace blitzio::io::detail {

class SimSignals::Stream final : public SignalStream::Backend {
 public:
  Stream(SimSignals& signals, int number) : signals_(signals), number_(number) {
    signals_.listeners_.emplace(number, this);
  }
  ~Stream() override {
    std::erase_if(signals_.listeners_, [this](const auto& entry) { return entry.second == this; });
  }
  AnyFuture<void> next() override { return arrived.wait(); }
  [[nodiscard]] int number() const override { return number_; }

  sync::Notify arrived;

 private:
  SimSignals& signals_;
  const int number_;
};

Result<SignalStream> SimSignals::stream(int number) {
  if (number < 1 || number >= NSIG || number == SIGKILL || number == SIGSTOP) {
    return fail(Error::runtime(RuntimeErrc::invalid_argument));
  }
  return SignalStream(std::make_unique<Stream>(*this, number));
}

AnyFuture<Result<void>> SimSignals::wait(int number) {
  const auto listen = [](SimSignals& self, int awaited) -> Async<Result<void>> {
    auto stream = self.stream(awaited);
    if (!stream) co_return fail(stream.error());
    co_await stream->next();
    co_return Result<void>();
  };
  return listen(*this, number);
}

void SimSignals::raise(int number) {
  const auto [begin, end] = listeners_.equal_range(number);
  for (auto at = begin; at != end; ++at) at->second->arrived.notify_one();
}

}  // namespace blitzio::io::detail
