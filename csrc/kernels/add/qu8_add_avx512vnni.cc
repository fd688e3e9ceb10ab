#include <immintrin.h>

#include "kernels/add/add.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kStep = 16;

/// The scales as vectors, made once for all rows.
struct Constants {
  __m512i lhs_zero_point;
  __m512i rhs_zero_point;
  __m512 lhs_multiplier;
  __m512 rhs_multiplier;
  __m512 low;
  __m512 high;
  __m512i zero_point;

  explicit Constants(const AddScales& scales)
      : lhs_zero_point(_mm512_set1_epi32(scales.lhs_zero_point)),
        rhs_zero_point(_mm512_set1_epi32(scales.rhs_zero_point)),
        lhs_multiplier(_mm512_set1_ps(scales.lhs_multiplier)),
        rhs_multiplier(_mm512_set1_ps(scales.rhs_multiplier)),
        low(_mm512_set1_ps(scales.range.low)),
        high(_mm512_set1_ps(scales.range.high)),
        zero_point(_mm512_set1_epi32(scales.range.zero_point)) {}
};

inline __m512 scale(__m128i bytes, __m512i zero_point, __m512 multiplier) {
  const __m512i centred = _mm512_sub_epi32(_mm512_cvtepu8_epi32(bytes), zero_point);
  return _mm512_mul_ps(_mm512_cvtepi32_ps(centred), multiplier);
}

inline __m128i add_sixteen(const Constants& constants, __m128i lhs, __m128i rhs) {
  const __m512 sum = _mm512_add_ps(scale(lhs, constants.lhs_zero_point, constants.lhs_multiplier),
                                   scale(rhs, constants.rhs_zero_point, constants.rhs_multiplier));
  // The operand order gives `low` for NaN.
  const __m512 bounded = _mm512_min_ps(_mm512_max_ps(sum, constants.low), constants.high);
  return _mm512_cvtepi32_epi8(_mm512_add_epi32(_mm512_cvtps_epi32(bounded), constants.zero_point));
}

inline __m128i load(const std::uint8_t* x) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
}

}  // namespace

void qu8_add_avx512vnni(const AddRows& rows, const AddScales& scales) noexcept {
  const Constants constants(scales);
  const std::ptrdiff_t whole = rows.count / kStep * kStep;
  const auto tail = static_cast<__mmask16>((1U << (rows.count - whole)) - 1U);
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    const std::uint8_t* lhs = rows.lhs + row * rows.lhs_stride;
    const std::uint8_t* rhs = rows.rhs + row * rows.rhs_stride;
    std::uint8_t* out = rows.out + row * rows.out_stride;
    for (std::ptrdiff_t i = 0; i < whole; i += kStep) {
      _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                       add_sixteen(constants, load(lhs + i), load(rhs + i)));
    }
    if (tail == 0) continue;
    const __m128i sum = add_sixteen(constants, _mm_maskz_loadu_epi8(tail, lhs + whole),
                                    _mm_maskz_loadu_epi8(tail, rhs + whole));
    _mm_mask_storeu_epi8(out + whole, tail, sum);
  }
}

}  // namespace smidgen::kernels
