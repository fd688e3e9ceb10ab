#include "kernels/gemm/registry.h"

#include <algorithm>
#include <array>

#include "kernels/select.h"

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    GemmVariant{"qu8_qc8w_gemm_4x16c4_portable", Isa::kPortable, 4, 16, 4, 1,
                qu8_qc8w_gemm_4x16c4_portable},
#if SMIDGEN_X86
    GemmVariant{"qu8_qc8w_gemm_6x16c2_avx2", Isa::kAvx2, 6, 16, 2, 1, qu8_qc8w_gemm_6x16c2_avx2},
    GemmVariant{"qu8_qc8w_gemm_6x16c4_avxvnni", Isa::kAvxVnni, 6, 16, 4, 1,
                qu8_qc8w_gemm_6x16c4_avxvnni},
    GemmVariant{"qu8_qc8w_gemm_14x32c4_avx512vnni", Isa::kAvx512Vnni, 14, 32, 4, 1,
                qu8_qc8w_gemm_14x32c4_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_14x16c4_avx512vnni", Isa::kAvx512Vnni, 14, 16, 4, 1,
                qu8_qc8w_gemm_14x16c4_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_6x64c4_avx512vnni", Isa::kAvx512Vnni, 6, 64, 4, 1,
                qu8_qc8w_gemm_6x64c4_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_32x16c64_amx", Isa::kAmx, 32, 16, 4, 16, qu8_qc8w_gemm_32x16c64_amx},
    GemmVariant{"qu8_qc8w_gemm_32x32c64_amx", Isa::kAmx, 32, 32, 4, 16, qu8_qc8w_gemm_32x32c64_amx},
#endif
};

/// Half cycles of one panel for one group: two dot products and two loads a cycle, and four cycles
/// from one dot product to the next on the same sums.
Index panel_cost(const GemmVariant& variant, Index expected_rows) {
  constexpr Index kLatency = 8;
  const Index tiles = ceil_div(expected_rows, variant.mr);
  const Index rows = ceil_div(expected_rows, tiles);
  const Index vectors = variant.nr / 16;
  return tiles * std::max({rows * vectors, rows + vectors, kLatency});
}

}  // namespace

std::span<const GemmVariant> gemm_variants() { return kVariants; }

GemmChoice choose_gemm(Isa level, Index n, Index expected_rows) {
  const Isa best = best_variant(gemm_variants(), level).isa;
  GemmChoice choice{nullptr, nullptr};
  Index lowest = 0;
  for (const GemmVariant& main : kVariants) {
    for (const GemmVariant& tail : kVariants) {
      const Index rest = n % main.nr;
      if (main.isa != best || tail.isa != best || tail.nr > main.nr || tail.nr < rest) continue;
      const Index cost = n / main.nr * panel_cost(main, expected_rows) +
                         (rest == 0 ? 0 : panel_cost(tail, expected_rows));
      if (choice.main == nullptr || cost < lowest) {
        choice = {&main, &tail};
        lowest = cost;
      }
    }
  }
  return choice;
}

}  // namespace smidgen::kernels
