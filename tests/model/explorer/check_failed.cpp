// BLITZIO_CHECK in a scenario: ends the execution, where base/check.cpp would end the process.
#include <blitzio/base/check.hpp>

#include <model/explorer/execution.hpp>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace blitzio::detail {

void check_failed(const char* file, int line, const char* expression,
                  std::initializer_list<long long> values) noexcept {
  model::Execution* execution = model::Execution::active();
  const model::arena::Closed closed;
  std::string text = std::string("check failed: ") + expression;
  for (const long long value : values) text += " " + std::to_string(value);
  const std::string_view path = file;
  text += " at " + std::string(path.substr(path.rfind('/') + 1)) + ":" + std::to_string(line);
  if (execution != nullptr) execution->fail(std::move(text));
  std::fprintf(stderr, "%s\n", text.c_str());
  std::abort();
}

}  // namespace blitzio::detail
