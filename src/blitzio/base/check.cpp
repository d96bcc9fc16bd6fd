#include <blitzio/base/check.hpp>

#include <cstdio>
#include <cstdlib>

namespace blitzio::detail {

void check_failed(const char* file, int line, const char* expression,
                  std::initializer_list<long long> values) noexcept {
  std::fprintf(stderr, "%s:%d: check failed: %s", file, line, expression);
  for (const long long value : values) {
    std::fprintf(stderr, " %lld", value);
  }
  std::fputc('\n', stderr);
  std::fflush(stderr);
  std::abort();
}

}  // namespace blitzio::detail
