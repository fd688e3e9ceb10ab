#include <immintrin.h>

#include "kernels/gemm/accumulate_avx512vnni.inc"
#include "kernels/simd/zmm.inc"
#include "kernels/winograd/winograd.h"
#include "kernels/winograd/winograd.inc"

namespace smidgen::kernels {

void qu8_qc8w_winograd_14x32_avx512vnni(const WinogradBlock& block) noexcept {
  run_winograd<Avx512VnniWords, 14, 2>(block);
}

}  // namespace smidgen::kernels
