#include "kernels/depthwise_band/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

#if SMIDGEN_X86
constexpr auto kVariants = std::to_array<DepthwiseBandVariant>({
    {"qu8_qc8w_depthwise_3s1_32_avxvnni", Isa::kAvxVnni, 3, 1, 32, 2,
     qu8_qc8w_depthwise_3s1_32_avxvnni},
    {"qu8_qc8w_depthwise_3s2_32_avxvnni", Isa::kAvxVnni, 3, 2, 32, 2,
     qu8_qc8w_depthwise_3s2_32_avxvnni},
    {"qu8_qc8w_depthwise_5s1_32_avxvnni", Isa::kAvxVnni, 5, 1, 32, 2,
     qu8_qc8w_depthwise_5s1_32_avxvnni},
    {"qu8_qc8w_depthwise_5s2_32_avxvnni", Isa::kAvxVnni, 5, 2, 32, 2,
     qu8_qc8w_depthwise_5s2_32_avxvnni},
    {"qu8_qc8w_depthwise_7s1_32_avxvnni", Isa::kAvxVnni, 7, 1, 32, 2,
     qu8_qc8w_depthwise_7s1_32_avxvnni},
    {"qu8_qc8w_depthwise_7s2_32_avxvnni", Isa::kAvxVnni, 7, 2, 32, 2,
     qu8_qc8w_depthwise_7s2_32_avxvnni},
    {"qu8_qc8w_depthwise_3s1_64_avx512vnni", Isa::kAvx512Vnni, 3, 1, 64, 4,
     qu8_qc8w_depthwise_3s1_64_avx512vnni},
    {"qu8_qc8w_depthwise_3s2_64_avx512vnni", Isa::kAvx512Vnni, 3, 2, 64, 4,
     qu8_qc8w_depthwise_3s2_64_avx512vnni},
    {"qu8_qc8w_depthwise_5s1_64_avx512vnni", Isa::kAvx512Vnni, 5, 1, 64, 4,
     qu8_qc8w_depthwise_5s1_64_avx512vnni},
    {"qu8_qc8w_depthwise_5s2_64_avx512vnni", Isa::kAvx512Vnni, 5, 2, 64, 4,
     qu8_qc8w_depthwise_5s2_64_avx512vnni},
    {"qu8_qc8w_depthwise_7s1_64_avx512vnni", Isa::kAvx512Vnni, 7, 1, 64, 4,
     qu8_qc8w_depthwise_7s1_64_avx512vnni},
    {"qu8_qc8w_depthwise_7s2_64_avx512vnni", Isa::kAvx512Vnni, 7, 2, 64, 4,
     qu8_qc8w_depthwise_7s2_64_avx512vnni},
});
#else
constexpr std::array<DepthwiseBandVariant, 0> kVariants;
#endif

}  // namespace

std::span<const DepthwiseBandVariant> depthwise_band_variants() { return kVariants; }

const DepthwiseBandVariant* find_depthwise_band(Isa level, Index kernel, Index stride) {
  const DepthwiseBandVariant* best = nullptr;
  for (const DepthwiseBandVariant& variant : depthwise_band_variants()) {
    if (variant.kernel != kernel || variant.stride != stride || !serves(variant.isa, level)) {
      continue;
    }
    if (best == nullptr || variant.isa > best->isa) best = &variant;
  }
  return best;
}

}  // namespace smidgen::kernels
