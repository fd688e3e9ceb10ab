#include "base/subnormals.h"

namespace smidgen {
namespace {

#if SMIDGEN_X86
constexpr std::uint64_t kFlush = 1U << 15U | 1U << 6U;  // of results and of operands
std::uint64_t control() noexcept { return __builtin_ia32_stmxcsr(); }
void set_control(std::uint64_t value) noexcept {
  __builtin_ia32_ldmxcsr(static_cast<std::uint32_t>(value));
}
#elif defined(__aarch64__)
constexpr std::uint64_t kFlush = 1U << 24U;
std::uint64_t control() noexcept {
  std::uint64_t value = 0;
  asm volatile("mrs %0, fpcr" : "=r"(value));
  return value;
}
void set_control(std::uint64_t value) noexcept { asm volatile("msr fpcr, %0" : : "r"(value)); }
#else
constexpr std::uint64_t kFlush = 0;
std::uint64_t control() noexcept { return 0; }
void set_control(std::uint64_t /*value*/) noexcept {}
#endif

}  // namespace

FlushSubnormals::FlushSubnormals(bool is_wanted) noexcept : is_wanted_(is_wanted) {
  if (!is_wanted_) return;
  before_ = control();
  set_control(before_ | kFlush);
}

FlushSubnormals::~FlushSubnormals() {
  if (is_wanted_) set_control(before_);
}

}  // namespace smidgen
