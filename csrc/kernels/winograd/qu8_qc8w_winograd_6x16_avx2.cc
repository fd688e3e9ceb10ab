#include <immintrin.h>

#include "kernels/gemm/simd_ymm.inc"
#include "kernels/simd/ymm.inc"
#include "kernels/winograd/winograd.h"
#include "kernels/winograd/winograd.inc"

namespace smidgen::kernels {
namespace {

struct Avx2Words : YmmWords {
  static Vector dot(Vector sums, Vector a, Vector weights) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, weights));
  }
};

}  // namespace

void qu8_qc8w_winograd_6x16_avx2(const WinogradBlock& block) noexcept {
  run_winograd<Avx2Words, 6, 2>(block);
}

}  // namespace smidgen::kernels
