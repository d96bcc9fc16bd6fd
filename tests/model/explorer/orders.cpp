#include <model/explorer/orders.hpp>

namespace blitzio::model {

const char* name(std::memory_order order) noexcept {
  switch (order) {
    case std::memory_order_relaxed:
      return "relaxed";
    case std::memory_order_consume:
      return "consume";
    case std::memory_order_acquire:
      return "acquire";
    case std::memory_order_release:
      return "release";
    case std::memory_order_acq_rel:
      return "acq_rel";
    case std::memory_order_seq_cst:
      return "seq_cst";
  }
  return "?";
}

const char* name(Access access) noexcept {
  switch (access) {
    case Access::load:
      return "load";
    case Access::store:
      return "store";
    case Access::exchange:
      return "read-modify-write";
    case Access::failure:
      return "failed compare-exchange";
  }
  return "?";
}

std::string short_name(const Where& where) {
  const std::string_view file = where.file_name();
  return std::string(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(where.line());
}

bool Weakening::applies(const Where& where, Access kind, std::memory_order order) const {
  return kind == access && order == from && (line == 0 || line == where.line()) &&
         std::string_view(where.file_name()).ends_with(file) &&
         std::string_view(where.function_name()).find(function) != std::string_view::npos;
}

std::string Weakening::text() const {
  const std::size_t core = file.rfind("/src/blitzio/");
  return (core == std::string::npos ? file : file.substr(core + 13)) +
         (line == 0 ? "" : ":" + std::to_string(line)) + " " + name(access) + " " + name(from) +
         " -> " + name(to);
}

std::vector<std::memory_order> weaker(Access access, std::memory_order order) {
  switch (order) {
    case std::memory_order_seq_cst:
      switch (access) {
        case Access::load:
        case Access::failure:
          return {std::memory_order_acquire};
        case Access::store:
          return {std::memory_order_release};
        case Access::exchange:
          return {std::memory_order_acq_rel};
      }
      return {};
    case std::memory_order_acq_rel:
      return {std::memory_order_acquire, std::memory_order_release};
    case std::memory_order_acquire:
    case std::memory_order_release:
    case std::memory_order_consume:
      return {std::memory_order_relaxed};
    case std::memory_order_relaxed:
      return {};
  }
  return {};
}

}  // namespace blitzio::model
