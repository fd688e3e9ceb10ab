#include <immintrin.h>

#include "kernels/gemm/accumulate_avx512vnni.inc"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/tile.inc"

namespace smidgen::kernels {

void qu8_qc8w_gemm_28x16c4_avx512vnni(const GemmBlock& block) noexcept {
  run_rows<Avx512Vnni, 28, 1>(block);
}

}  // namespace smidgen::kernels
