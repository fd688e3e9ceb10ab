#include <immintrin.h>

#include "kernels/depthwise/depthwise.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kBlock = 64;

inline __m512i requantize(__m512i acc, const float* multipliers, const OutputRange& range) {
  const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), _mm512_loadu_ps(multipliers));
  // The operand order gives `low` for NaN.
  const __m512 above = _mm512_max_ps(scaled, _mm512_set1_ps(range.low));
  const __m512 bounded = _mm512_min_ps(above, _mm512_set1_ps(range.high));
  return _mm512_add_epi32(_mm512_cvtps_epi32(bounded), _mm512_set1_epi32(range.zero_point));
}

/// Four taps at a time: two rounds of unpacking bring the four values of each channel into one
/// 32-bit lane.
inline void run_block(const DepthwiseRow& row, const std::uint8_t* x, std::ptrdiff_t first,
                      __mmask64 mask, std::uint8_t* out) {
  const std::int8_t* w = row.weights + first * row.taps;
  const std::int32_t* bias = row.bias2 + first;
  __m512i acc0 = _mm512_loadu_si512(bias);
  __m512i acc1 = _mm512_loadu_si512(bias + 16);
  __m512i acc2 = _mm512_loadu_si512(bias + 32);
  __m512i acc3 = _mm512_loadu_si512(bias + 48);
  for (std::ptrdiff_t t = 0; t < row.taps; t += 4, w += 4 * kBlock) {
    const std::ptrdiff_t* offsets = row.tap_offsets + t;
    const __m512i tap0 = _mm512_maskz_loadu_epi8(mask, x + offsets[0]);
    const __m512i tap1 = _mm512_maskz_loadu_epi8(mask, x + offsets[1]);
    const __m512i tap2 = _mm512_maskz_loadu_epi8(mask, x + offsets[2]);
    const __m512i tap3 = _mm512_maskz_loadu_epi8(mask, x + offsets[3]);
    const __m512i low01 = _mm512_unpacklo_epi8(tap0, tap1);
    const __m512i high01 = _mm512_unpackhi_epi8(tap0, tap1);
    const __m512i low23 = _mm512_unpacklo_epi8(tap2, tap3);
    const __m512i high23 = _mm512_unpackhi_epi8(tap2, tap3);
    acc0 = _mm512_dpbusd_epi32(acc0, _mm512_unpacklo_epi16(low01, low23), _mm512_loadu_si512(w));
    acc1 =
        _mm512_dpbusd_epi32(acc1, _mm512_unpackhi_epi16(low01, low23), _mm512_loadu_si512(w + 64));
    acc2 = _mm512_dpbusd_epi32(acc2, _mm512_unpacklo_epi16(high01, high23),
                               _mm512_loadu_si512(w + 128));
    acc3 = _mm512_dpbusd_epi32(acc3, _mm512_unpackhi_epi16(high01, high23),
                               _mm512_loadu_si512(w + 192));
  }
  const float* multipliers = row.multipliers + first;
  const __m512i words01 = _mm512_packs_epi32(requantize(acc0, multipliers, row.range),
                                             requantize(acc1, multipliers + 16, row.range));
  const __m512i words23 = _mm512_packs_epi32(requantize(acc2, multipliers + 32, row.range),
                                             requantize(acc3, multipliers + 48, row.range));
  // Packing undoes the interleaving within lanes.
  _mm512_mask_storeu_epi8(out, mask, _mm512_packus_epi16(words01, words23));
}

}  // namespace

void qu8_qc8w_depthwise_64c4_avx512vnni(const DepthwiseRow& row) noexcept {
  for (std::ptrdiff_t first = 0; first < row.channels; first += kBlock) {
    const std::ptrdiff_t left = row.channels - first;
    const __mmask64 mask = left >= kBlock ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
    for (std::ptrdiff_t pixel = 0; pixel < row.pixels; ++pixel) {
      run_block(row, row.x + pixel * row.x_pixel_stride + first, first, mask,
                row.out + pixel * row.out_pixel_stride + first);
    }
  }
}

}  // namespace smidgen::kernels
