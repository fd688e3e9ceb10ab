#include <immintrin.h>

#include "kernels/depthwise/depthwise.h"
#include "kernels/depthwise/requantize_ymm.inc"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kBlock = 32;

inline void store(__m256i bytes, std::ptrdiff_t channels, std::uint8_t* out) {
  if (channels == kBlock) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), bytes);
    return;
  }
  alignas(32) std::uint8_t block[kBlock];
  _mm256_store_si256(reinterpret_cast<__m256i*>(block), bytes);
  for (std::ptrdiff_t c = 0; c < channels; ++c) out[c] = block[c];
}

/// Four taps at a time: two rounds of unpacking bring the four values of each channel into one
/// 32-bit lane.
inline void run_block(const DepthwiseRow& row, const std::uint8_t* x, std::ptrdiff_t first,
                      std::ptrdiff_t channels, std::uint8_t* out) {
  const std::int8_t* w = row.weights + first * row.taps;
  const std::int32_t* bias = row.bias2 + first;
  __m256i acc0 = load(bias);
  __m256i acc1 = load(bias + 8);
  __m256i acc2 = load(bias + 16);
  __m256i acc3 = load(bias + 24);
  for (std::ptrdiff_t t = 0; t < row.taps; t += 4, w += 4 * kBlock) {
    const std::ptrdiff_t* offsets = row.tap_offsets + t;
    const __m256i tap0 = load(x + offsets[0]);
    const __m256i tap1 = load(x + offsets[1]);
    const __m256i tap2 = load(x + offsets[2]);
    const __m256i tap3 = load(x + offsets[3]);
    const __m256i low01 = _mm256_unpacklo_epi8(tap0, tap1);
    const __m256i high01 = _mm256_unpackhi_epi8(tap0, tap1);
    const __m256i low23 = _mm256_unpacklo_epi8(tap2, tap3);
    const __m256i high23 = _mm256_unpackhi_epi8(tap2, tap3);
    acc0 = _mm256_dpbusd_avx_epi32(acc0, _mm256_unpacklo_epi16(low01, low23), load(w));
    acc1 = _mm256_dpbusd_avx_epi32(acc1, _mm256_unpackhi_epi16(low01, low23), load(w + 32));
    acc2 = _mm256_dpbusd_avx_epi32(acc2, _mm256_unpacklo_epi16(high01, high23), load(w + 64));
    acc3 = _mm256_dpbusd_avx_epi32(acc3, _mm256_unpackhi_epi16(high01, high23), load(w + 96));
  }
  const float* multipliers = row.multipliers + first;
  const __m256i words01 = _mm256_packs_epi32(requantize(acc0, multipliers, row.range),
                                             requantize(acc1, multipliers + 8, row.range));
  const __m256i words23 = _mm256_packs_epi32(requantize(acc2, multipliers + 16, row.range),
                                             requantize(acc3, multipliers + 24, row.range));
  // Packing undoes the interleaving within lanes.
  store(_mm256_packus_epi16(words01, words23), channels, out);
}

}  // namespace

void qu8_qc8w_depthwise_32c4_avxvnni(const DepthwiseRow& row) noexcept {
  for (std::ptrdiff_t first = 0; first < row.channels; first += kBlock) {
    const std::ptrdiff_t channels = smaller(row.channels - first, kBlock);
    for (std::ptrdiff_t pixel = 0; pixel < row.pixels; ++pixel) {
      run_block(row, row.x + pixel * row.x_pixel_stride + first, first, channels,
                row.out + pixel * row.out_pixel_stride + first);
    }
  }
}

}  // namespace smidgen::kernels
