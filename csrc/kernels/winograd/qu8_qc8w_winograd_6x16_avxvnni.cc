#include <immintrin.h>

#include "kernels/gemm/simd_ymm.inc"
#include "kernels/simd/ymm.inc"
#include "kernels/winograd/winograd.h"
#include "kernels/winograd/winograd.inc"

namespace smidgen::kernels {
namespace {

struct AvxVnniWords : YmmWords {
  static Vector dot(Vector sums, Vector a, Vector weights) {
    return _mm256_dpwssd_avx_epi32(sums, a, weights);
  }
};

}  // namespace

void qu8_qc8w_winograd_6x16_avxvnni(const WinogradBlock& block) noexcept {
  run_winograd<AvxVnniWords, 6, 2>(block);
}

}  // namespace smidgen::kernels
