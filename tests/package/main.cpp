// Uses the installed core: makes a driver and lets one operation through it.
#include <blitzio/driver/driver.hpp>

#include <cstdio>

namespace {

using namespace blitzio;

struct Nop : driver::Operation {
  Nop() noexcept : Operation(&Nop::on_completion) {}
  static void on_completion(Operation& operation, const driver::Completion& completion) noexcept {
    static_cast<Nop&>(operation).is_done = completion.result == 0;
  }
  bool is_done = false;
};

}  // namespace

int main() {
  auto made = driver::create();
  if (!made) return 1;
  driver::Driver& driver = **made;
  if (!driver.bind()) return 1;
  Nop nop;
  nop.nop();
  driver.submit(nop);
  while (!nop.is_done) {
    driver.wait(Duration::max());
    driver.dispatch();
  }
  std::printf("a nop went through %s\n", driver::name(driver.backend()).data());
  driver.unbind();
  return 0;
}
