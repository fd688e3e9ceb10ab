#include <immintrin.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/simd_ymm.inc"
#include "kernels/gemm/tile.inc"

namespace smidgen::kernels {
namespace {

/// Groups of two values that were widened to 16 bits before. vpmaddwd is exact on them: |a * w| <=
/// 255 * 128, and the sum of two products fits int32; vpmaddubsw would saturate at 32767.
struct Avx2 : Ymm {
  static constexpr int kWeightBytes = 16;

  static Vector load_weights(const std::int8_t* weights) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
  }

  static Vector dot(Vector sums, Vector a, Vector weights) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(a, weights));
  }
};

}  // namespace

void qu8_qc8w_gemm_6x16c2_avx2(const GemmBlock& block) noexcept { run_rows<Avx2, 6, 2>(block); }

}  // namespace smidgen::kernels
