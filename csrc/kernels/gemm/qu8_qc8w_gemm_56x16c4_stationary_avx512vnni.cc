#include "kernels/gemm/gemm.h"
#include "kernels/gemm/simd_avx512vnni.inc"
#include "kernels/gemm/stationary.inc"

namespace smidgen::kernels {

void qu8_qc8w_gemm_56x16c4_stationary_avx512vnni(const GemmBlock& block) noexcept {
  if (block.ending != GemmEnding::kBytes) {
    return run_in_tiles(block, 14, qu8_qc8w_gemm_14x16c4_avx512vnni);
  }
  run_groups<Avx512Vnni, 4, 1>(block);
}

}  // namespace smidgen::kernels
