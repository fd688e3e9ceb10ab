#include <immintrin.h>

#include "kernels/depthwise/depthwise.h"
#include "kernels/depthwise/requantize_ymm.inc"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kBlock = 16;

inline __m256i widen(const std::uint8_t* x) {
  return _mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
}

inline __m256i widen_weights(const std::int8_t* w) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
}

inline void store(__m128i bytes, std::ptrdiff_t channels, std::uint8_t* out) {
  if (channels == kBlock) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), bytes);
    return;
  }
  alignas(16) std::uint8_t block[kBlock];
  _mm_store_si128(reinterpret_cast<__m128i*>(block), bytes);
  for (std::ptrdiff_t c = 0; c < channels; ++c) out[c] = block[c];
}

/// Two taps at a time: their values are interleaved as int16, and vpmaddwd multiplies and adds
/// exactly.
inline void run_block(const DepthwiseRow& row, const std::uint8_t* x, std::ptrdiff_t first,
                      std::ptrdiff_t channels, std::uint8_t* out) {
  const std::int8_t* w = row.weights + first * row.taps;
  __m256i acc0 = load(row.bias2 + first);
  __m256i acc1 = load(row.bias2 + first + 8);
  for (std::ptrdiff_t t = 0; t < row.taps; t += 2, w += 2 * kBlock) {
    const __m256i tap0 = widen(x + row.tap_offsets[t]);
    const __m256i tap1 = widen(x + row.tap_offsets[t + 1]);
    const __m256i pairs0 = _mm256_unpacklo_epi16(tap0, tap1);
    const __m256i pairs1 = _mm256_unpackhi_epi16(tap0, tap1);
    acc0 = _mm256_add_epi32(acc0, _mm256_madd_epi16(pairs0, widen_weights(w)));
    acc1 = _mm256_add_epi32(acc1, _mm256_madd_epi16(pairs1, widen_weights(w + kBlock)));
  }
  const __m256i q0 = requantize(acc0, row.multipliers + first, row.range);
  const __m256i q1 = requantize(acc1, row.multipliers + first + 8, row.range);
  // Packing undoes the interleaving within lanes.
  const __m256i words = _mm256_packs_epi32(q0, q1);
  store(_mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)),
        channels, out);
}

}  // namespace

void qu8_qc8w_depthwise_16c2_avx2(const DepthwiseRow& row) noexcept {
  for (std::ptrdiff_t first = 0; first < row.channels; first += kBlock) {
    const std::ptrdiff_t channels = smaller(row.channels - first, kBlock);
    for (std::ptrdiff_t pixel = 0; pixel < row.pixels; ++pixel) {
      run_block(row, row.x + pixel * row.x_pixel_stride + first, first, channels,
                row.out + pixel * row.out_pixel_stride + first);
    }
  }
}

}  // namespace smidgen::kernels
