#include <immintrin.h>

#include "kernels/gemm/accumulate_avx512vnni.inc"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/tile.inc"

namespace smidgen::kernels {

void qu8_qc8w_gemm_6x64c4_avx512vnni(const GemmBlock& block) noexcept {
  run_rows<Avx512Vnni, 6, 4>(block);
}

}  // namespace smidgen::kernels
