#include "kernels/gemm/gemm.h"
#include "kernels/gemm/simd_avxvnni.inc"
#include "kernels/gemm/tile.inc"

namespace smidgen::kernels {

void qu8_qc8w_gemm_4x24c4_avxvnni(const GemmBlock& block) noexcept {
  run_rows<AvxVnni, 4, 3>(block);
}

}  // namespace smidgen::kernels
