#include <immintrin.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/simd_ymm.inc"
#include "kernels/gemm/tile.inc"

namespace smidgen::kernels {
namespace {

struct AvxVnni : Ymm {
  static constexpr int kWeightBytes = 32;

  static Vector load_weights(const std::int8_t* weights) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
  }

  static Vector dot(Vector sums, Vector a, Vector weights) {
    return _mm256_dpbusd_avx_epi32(sums, a, weights);
  }
};

}  // namespace

void qu8_qc8w_gemm_6x16c4_avxvnni(const GemmBlock& block) noexcept {
  run_rows<AvxVnni, 6, 2>(block);
}

}  // namespace smidgen::kernels
