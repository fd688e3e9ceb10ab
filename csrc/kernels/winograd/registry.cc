#include "kernels/winograd/registry.h"

#include <algorithm>
#include <array>

namespace smidgen::kernels {
namespace {

#if SMIDGEN_X86
constexpr std::array kVariants = {
    WinogradVariant{"qu8_qc8w_winograd_6x16_avx2", Isa::kAvx2, 6, 16, 16,
                    qu8_qc8w_winograd_6x16_avx2},
    WinogradVariant{"qu8_qc8w_winograd_6x16_avxvnni", Isa::kAvxVnni, 6, 16, 16,
                    qu8_qc8w_winograd_6x16_avxvnni},
    WinogradVariant{"qu8_qc8w_winograd_14x32_avx512vnni", Isa::kAvx512Vnni, 14, 32, 32,
                    qu8_qc8w_winograd_14x32_avx512vnni},
};
#else
constexpr std::array<WinogradVariant, 0> kVariants = {};
#endif

}  // namespace

std::span<const WinogradVariant> winograd_variants() { return kVariants; }

const WinogradVariant* winograd_for(Isa level) {
  const auto found = std::ranges::find(kVariants, level, &WinogradVariant::isa);
  return found == kVariants.end() ? nullptr : &*found;
}

}  // namespace smidgen::kernels
