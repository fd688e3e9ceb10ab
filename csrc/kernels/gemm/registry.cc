#include "kernels/gemm/registry.h"

#include <algorithm>
#include <array>

#include "kernels/select.h"

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    GemmVariant{"qu8_qc8w_gemm_4x16c4_portable", Isa::kPortable, 4, 16,
                qu8_qc8w_gemm_4x16c4_portable},
#if SMIDGEN_X86
    GemmVariant{"qu8_qc8w_gemm_4x16c4_avx2", Isa::kAvx2, 4, 16, qu8_qc8w_gemm_4x16c4_avx2},
    GemmVariant{"qu8_qc8w_gemm_6x16c4_avxvnni", Isa::kAvxVnni, 6, 16, qu8_qc8w_gemm_6x16c4_avxvnni},
    GemmVariant{"qu8_qc8w_gemm_14x32c4_avx512vnni", Isa::kAvx512Vnni, 14, 32,
                qu8_qc8w_gemm_14x32c4_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_14x16c4_avx512vnni", Isa::kAvx512Vnni, 14, 16,
                qu8_qc8w_gemm_14x16c4_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_6x64c4_avx512vnni", Isa::kAvx512Vnni, 6, 64,
                qu8_qc8w_gemm_6x64c4_avx512vnni},
#endif
};

/// Cycles of one panel for one row and one group of four k, in eighths: two dot products and two
/// loads a cycle.
Index panel_cost(const GemmVariant& variant, Index expected_rows) {
  const Index rows = std::min(variant.mr, expected_rows);
  const Index vectors = variant.nr / 16;
  return std::max(4 * vectors, 4 + 4 * vectors / rows);
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
