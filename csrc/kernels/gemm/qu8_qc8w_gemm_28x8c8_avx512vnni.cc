#include <immintrin.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/pair_tile.inc"

namespace smidgen::kernels {

void qu8_qc8w_gemm_28x8c8_avx512vnni(const GemmBlock& block) noexcept {
  run_rows_of_pairs<28>(block);
}

}  // namespace smidgen::kernels
