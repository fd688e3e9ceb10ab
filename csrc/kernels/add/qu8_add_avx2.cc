#include <immintrin.h>

#include "kernels/add/add.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kStep = 16;

inline __m256 scale(__m128i bytes, std::int32_t zero_point, float multiplier) {
  const __m256i centred =
      _mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(zero_point));
  return _mm256_mul_ps(_mm256_cvtepi32_ps(centred), _mm256_set1_ps(multiplier));
}

inline __m256i add_eight(const AddScales& scales, __m128i lhs, __m128i rhs) {
  const __m256 left = scale(lhs, scales.lhs_zero_point, scales.lhs_multiplier);
  const __m256 right = scale(rhs, scales.rhs_zero_point, scales.rhs_multiplier);
  // The operand order gives `low` for NaN.
  const __m256 above = _mm256_max_ps(_mm256_add_ps(left, right), _mm256_set1_ps(scales.range.low));
  const __m256 bounded = _mm256_min_ps(above, _mm256_set1_ps(scales.range.high));
  return _mm256_add_epi32(_mm256_cvtps_epi32(bounded), _mm256_set1_epi32(scales.range.zero_point));
}

inline void add_sixteen(const AddScales& scales, const std::uint8_t* lhs, const std::uint8_t* rhs,
                        std::uint8_t* out) {
  const __m128i l = _mm_loadu_si128(reinterpret_cast<const __m128i*>(lhs));
  const __m128i r = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rhs));
  const __m256i q0 = add_eight(scales, l, r);
  const __m256i q1 = add_eight(scales, _mm_srli_si128(l, 8), _mm_srli_si128(r, 8));
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(q0, q1), 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
}

void add_tail(const AddScales& scales, std::ptrdiff_t count, const std::uint8_t* lhs,
              const std::uint8_t* rhs, std::uint8_t* out) {
  std::uint8_t l[kStep] = {};
  std::uint8_t r[kStep] = {};
  std::uint8_t sum[kStep];
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    l[i] = lhs[i];
    r[i] = rhs[i];
  }
  add_sixteen(scales, l, r, sum);
  for (std::ptrdiff_t i = 0; i < count; ++i) out[i] = sum[i];
}

}  // namespace

void qu8_add_avx2(const AddRows& rows, const AddScales& scales) noexcept {
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    const std::uint8_t* lhs = rows.lhs + row * rows.lhs_stride;
    const std::uint8_t* rhs = rows.rhs + row * rows.rhs_stride;
    std::uint8_t* out = rows.out + row * rows.out_stride;
    std::ptrdiff_t i = 0;
    for (; i + kStep <= rows.count; i += kStep) add_sixteen(scales, lhs + i, rhs + i, out + i);
    if (i < rows.count) add_tail(scales, rows.count - i, lhs + i, rhs + i, out + i);
  }
}

}  // namespace smidgen::kernels
