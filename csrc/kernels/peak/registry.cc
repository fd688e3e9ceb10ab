#include "kernels/peak/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

#if SMIDGEN_X86
constexpr std::array kVariants = {
    PeakVariant{"u8_s8_peak_avx2", Isa::kAvx2, 16, u8_s8_peak_avx2},
    PeakVariant{"u8_s8_peak_avxvnni", Isa::kAvxVnni, 32, u8_s8_peak_avxvnni},
    PeakVariant{"u8_s8_peak_avx512vnni", Isa::kAvx512Vnni, 64, u8_s8_peak_avx512vnni},
    PeakVariant{"u8_s8_peak_amx", Isa::kAmx, 16384, u8_s8_peak_amx},
};
#else
constexpr std::array<PeakVariant, 0> kVariants = {};
#endif

}  // namespace

std::span<const PeakVariant> peak_variants() { return kVariants; }

}  // namespace smidgen::kernels
