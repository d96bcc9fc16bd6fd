#include <blitzio/io/evented.hpp>

#include <blitzio/io/detail/native.hpp>

#include <utility>

namespace blitzio::io {

Result<std::unique_ptr<Evented>> Evented::create(const Config& config) {
  return map_value(Runtime::create(config), [](std::unique_ptr<Runtime> runtime) {
    return std::unique_ptr<Evented>(new Evented(std::move(runtime)));
  });
}

Evented::Evented(Runtime& runtime)
    : runtime_(&runtime), native_(new detail::Native(detail::DiskWaits::in_pool)) {}
Evented::Evented(std::unique_ptr<Runtime> runtime)
    : owned_(std::move(runtime)),
      runtime_(owned_.get()),
      native_(new detail::Native(detail::DiskWaits::in_pool)) {}
// Before the members go: what it cancels may use them.
Evented::~Evented() {
  owned_.reset();
}

Scheduler* Evented::admit(Start how) noexcept {
  if (how == Start::async) return &runtime_->scheduler_for_spawn();
  return runtime_->worker_count() == 1 ? nullptr : &runtime_->scheduler_elsewhere();
}

bool Evented::start(Scheduler& scheduler, Task& task, Start how) {
  if (how == Start::async) {
    runtime_->start(task, scheduler);
  } else {
    runtime_->start_elsewhere(task, scheduler);
  }
  return true;
}

void Evented::block_on(AnyFuture<void> work) {
  runtime_->block_on(work);
}

FileSystem& Evented::fs() noexcept {
  return native_->files;
}
Network& Evented::net() noexcept {
  return native_->network;
}
Processes& Evented::process() noexcept {
  return native_->processes;
}
Signals& Evented::signal() noexcept {
  return native_->signals;
}

}  // namespace blitzio::io
