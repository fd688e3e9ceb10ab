#include <immintrin.h>

#include "kernels/pool/load_partial.inc"
#include "kernels/pool/pool.h"

namespace smidgen::kernels {
namespace {

inline __m256i average(__m256i total, const AverageScaling& scaling) {
  const __m256 scaled =
      _mm256_mul_ps(_mm256_cvtepi32_ps(total), _mm256_set1_ps(scaling.multiplier));
  const __m256 mean = _mm256_div_ps(scaled, _mm256_set1_ps(scaling.count));
  // The operand order gives `low` for NaN.
  const __m256 above = _mm256_max_ps(mean, _mm256_set1_ps(scaling.range.low));
  const __m256 bounded = _mm256_min_ps(above, _mm256_set1_ps(scaling.range.high));
  return _mm256_add_epi32(_mm256_cvtps_epi32(bounded), _mm256_set1_epi32(scaling.range.zero_point));
}

}  // namespace

void qu8_average_avx2(const PoolWindow& window, const AverageScaling& scaling) noexcept {
  for (std::ptrdiff_t c = 0; c < window.channels; c += 16) {
    __m256i sum0 = _mm256_set1_epi32(scaling.offset);
    __m256i sum1 = sum0;
    for (std::ptrdiff_t row = 0; row < window.rows; ++row) {
      const std::uint8_t* x = window.x + row * window.row_stride + c;
      for (std::ptrdiff_t column = 0; column < window.columns;
           ++column, x += window.column_stride) {
        const __m128i bytes = load(x, window.channels - c);
        sum0 = _mm256_add_epi32(sum0, _mm256_cvtepu8_epi32(bytes));
        sum1 = _mm256_add_epi32(sum1, _mm256_cvtepu8_epi32(_mm_srli_si128(bytes, 8)));
      }
    }
    const __m256i q01 = _mm256_packs_epi32(average(sum0, scaling), average(sum1, scaling));
    const __m256i words = _mm256_permute4x64_epi64(q01, 0xD8);
    store(_mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)),
          window.channels - c, window.out + c);
  }
}

}  // namespace smidgen::kernels
