#include <model/explorer/fiber.hpp>

#include <model/explorer/arena.hpp>

#include <cxxabi.h>
#include <link.h>
#include <sys/mman.h>

#include <cstdlib>
#include <cstring>
#include <span>
#include <utility>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace blitzio::model {

namespace {

constexpr std::size_t kStackBytes = std::size_t{256} << 10;
constexpr std::size_t kGuardBytes = std::size_t{64} << 10;

// Where the program keeps the calling thread's thread_local variables. The libraries it is linked
// with keep theirs elsewhere, and share them among the fibers.
std::span<std::byte> own_locals() noexcept {
  static const std::span<std::byte> found = [] {
    std::span<std::byte> span;
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
          for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
            if (info->dlpi_phdr[i].p_type != PT_TLS) continue;
            *static_cast<std::span<std::byte>*>(data) = {
                static_cast<std::byte*>(info->dlpi_tls_data), info->dlpi_phdr[i].p_memsz};
          }
          return 1;  // The program itself comes first.
        },
        &span);
    return span;
  }();
  return found;
}

void* own_exceptions() noexcept {
  return abi::__cxa_get_globals();
}

Fiber* current_fiber = nullptr;

#if defined(__x86_64__)

// Keeps what the calling convention says a call keeps; the rest is the compiler's to save.
extern "C" void blitzio_model_switch(void** save, void* load);
asm(R"(
.text
.type blitzio_model_switch,@function
blitzio_model_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size blitzio_model_switch,.-blitzio_model_switch
)");

void* new_context(std::byte* stack_end, void* /*old*/, void (*entry)()) {
  // From the top: an end for unwinders, where to begin, six registers.
  auto** slots = reinterpret_cast<void**>(stack_end) - 8;
  std::memset(static_cast<void*>(slots), 0, 8 * sizeof(void*));
  slots[6] = reinterpret_cast<void*>(entry);
  return static_cast<void*>(slots);
}

#else

extern "C" void blitzio_model_switch(void** save, void* load) {
  if (*save == nullptr) *save = new ucontext_t;
  ::swapcontext(static_cast<ucontext_t*>(*save), static_cast<ucontext_t*>(load));
}

void* new_context(std::byte* stack_end, void* old, void (*entry)()) {
  auto* context = old == nullptr ? new ucontext_t : static_cast<ucontext_t*>(old);
  ::getcontext(context);
  context->uc_stack.ss_sp = stack_end - kStackBytes;
  context->uc_stack.ss_size = kStackBytes;
  context->uc_link = nullptr;
  ::makecontext(context, entry, 0);
  return context;
}

#endif

}  // namespace

Fiber::~Fiber() {
  if (stack_ != nullptr) ::munmap(stack_, kGuardBytes + kStackBytes);
#if !defined(__x86_64__)
  delete static_cast<ucontext_t*>(stack_pointer_);
#endif
}

// A thread begins with its variables as they are where no scenario has run yet: the first fiber is
// prepared there.
void Fiber::prepare(void (*entry)()) {
  if (stack_ == nullptr) {
    void* memory = ::mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    stack_ = static_cast<std::byte*>(memory);
    ::mprotect(stack_, kGuardBytes, PROT_NONE);
  }
  static const std::vector<std::byte> fresh(own_locals().begin(), own_locals().end());
  locals_ = fresh;
  stack_pointer_ = new_context(stack_ + kGuardBytes + kStackBytes, stack_pointer_, entry);
  exits_.clear();
  exceptions_ = {};
}

void Fiber::switch_to(Fiber& next) {
  save();
  next.restore();
  current_fiber = &next;
  blitzio_model_switch(&stack_pointer_, next.stack_pointer_);
}

void Fiber::save() {
  const auto locals = own_locals();
  locals_.assign(locals.begin(), locals.end());
  std::memcpy(&exceptions_, own_exceptions(), sizeof exceptions_);
}

void Fiber::restore() {
  const auto locals = own_locals();
  if (!locals.empty()) std::memcpy(locals.data(), locals_.data(), locals.size());
  std::memcpy(own_exceptions(), &exceptions_, sizeof exceptions_);
}

bool Fiber::is_local(const void* address) noexcept {
  const auto locals = own_locals();
  return address >= locals.data() && address < locals.data() + locals.size();
}

void Fiber::add_exit(void (*function)(void*), void* object) {
  const arena::Closed closed;
  exits_.push_back({function, object});
}

void Fiber::run_exits() {
  while (!exits_.empty()) {
    const Exit exit = exits_.back();
    exits_.pop_back();
    exit.function(exit.object);
  }
}

}  // namespace blitzio::model

// ---- what the C++ runtime offers for destructors of thread_local objects ---------------------

// The C library's; registers with the system thread.
extern "C" int __cxa_thread_atexit_impl(void (*function)(void*), void* object, void* library);

// Stands in for the C++ library's. NOLINTNEXTLINE(bugprone-reserved-identifier)
extern "C" int __cxa_thread_atexit(void (*function)(void*), void* object, void* library) noexcept {
  if (!blitzio::model::arena::is_open) {
    return __cxa_thread_atexit_impl(function, object, library);
  }
  blitzio::model::current_fiber->add_exit(function, object);
  return 0;
}
