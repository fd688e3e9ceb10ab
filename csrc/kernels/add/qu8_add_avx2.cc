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

inline __m256i add_eight(const AddArrays& arrays, __m128i lhs, __m128i rhs) {
  const __m256 left = scale(lhs, arrays.lhs_zero_point, arrays.lhs_multiplier);
  const __m256 right = scale(rhs, arrays.rhs_zero_point, arrays.rhs_multiplier);
  // The operand order gives `low` for NaN.
  const __m256 above = _mm256_max_ps(_mm256_add_ps(left, right), _mm256_set1_ps(arrays.range.low));
  const __m256 bounded = _mm256_min_ps(above, _mm256_set1_ps(arrays.range.high));
  return _mm256_add_epi32(_mm256_cvtps_epi32(bounded), _mm256_set1_epi32(arrays.range.zero_point));
}

inline void add_sixteen(const AddArrays& arrays, const std::uint8_t* lhs, const std::uint8_t* rhs,
                        std::uint8_t* out) {
  const __m128i l = _mm_loadu_si128(reinterpret_cast<const __m128i*>(lhs));
  const __m128i r = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rhs));
  const __m256i q0 = add_eight(arrays, l, r);
  const __m256i q1 = add_eight(arrays, _mm_srli_si128(l, 8), _mm_srli_si128(r, 8));
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(q0, q1), 0xD8);
  const __m128i bytes =
      _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
}

void add_tail(const AddArrays& arrays, std::ptrdiff_t first) {
  std::uint8_t lhs[kStep] = {};
  std::uint8_t rhs[kStep] = {};
  std::uint8_t out[kStep];
  for (std::ptrdiff_t i = first; i < arrays.count; ++i) {
    lhs[i - first] = arrays.lhs[i];
    rhs[i - first] = arrays.rhs[i];
  }
  add_sixteen(arrays, lhs, rhs, out);
  for (std::ptrdiff_t i = first; i < arrays.count; ++i) arrays.out[i] = out[i - first];
}

}  // namespace

void qu8_add_avx2(const AddArrays& arrays) noexcept {
  std::ptrdiff_t i = 0;
  for (; i + kStep <= arrays.count; i += kStep) {
    add_sixteen(arrays, arrays.lhs + i, arrays.rhs + i, arrays.out + i);
  }
  if (i < arrays.count) add_tail(arrays, i);
}

}  // namespace smidgen::kernels
