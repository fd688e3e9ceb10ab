#include <immintrin.h>

#include "kernels/quantize/quantize.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kStep = 16;

inline __m256i quantize_eight(const float* x, float scale, const OutputRange& range) {
  const __m256 scaled = _mm256_div_ps(_mm256_loadu_ps(x), _mm256_set1_ps(scale));
  // The operand order gives `low` for NaN.
  const __m256 above = _mm256_max_ps(scaled, _mm256_set1_ps(range.low));
  const __m256 bounded = _mm256_min_ps(above, _mm256_set1_ps(range.high));
  return _mm256_add_epi32(_mm256_cvtps_epi32(bounded), _mm256_set1_epi32(range.zero_point));
}

inline void quantize_sixteen(const float* x, float scale, const OutputRange& range,
                             std::uint8_t* out) {
  const __m256i q01 =
      _mm256_packs_epi32(quantize_eight(x, scale, range), quantize_eight(x + 8, scale, range));
  const __m256i words = _mm256_permute4x64_epi64(q01, 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
}

}  // namespace

void f32_qu8_quantize_avx2(std::ptrdiff_t count, const float* x, float scale,
                           const OutputRange& range, std::uint8_t* out) noexcept {
  std::ptrdiff_t i = 0;
  for (; i + kStep <= count; i += kStep) quantize_sixteen(x + i, scale, range, out + i);
  if (i == count) return;
  float tail[kStep] = {};
  std::uint8_t quantized[kStep];
  for (std::ptrdiff_t j = i; j < count; ++j) tail[j - i] = x[j];
  quantize_sixteen(tail, scale, range, quantized);
  for (std::ptrdiff_t j = i; j < count; ++j) out[j] = quantized[j - i];
}

}  // namespace smidgen::kernels
