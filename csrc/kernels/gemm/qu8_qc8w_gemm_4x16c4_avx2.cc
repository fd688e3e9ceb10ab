#include <immintrin.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/store_ymm.inc"

namespace smidgen::kernels {
namespace {

/// A group of four k as two vectors of int16: the even bytes of each 32-bit lane, and the odd ones.
/// vpmaddwd on each is exact: |a * w| <= 255 * 128 and the sum of two products fits int32.
/// vpmaddubsw would saturate at 32767.
struct Halves {
  __m256i even;
  __m256i odd;
};

inline Halves split_weights(const std::int8_t* w) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
  return {_mm256_srai_epi16(_mm256_slli_epi16(bytes, 8), 8), _mm256_srai_epi16(bytes, 8)};
}

inline Halves split_row(const std::uint8_t* a) {
  const __m256i bytes = _mm256_set1_epi32(load_four(a));
  return {_mm256_and_si256(bytes, _mm256_set1_epi16(0x00FF)), _mm256_srli_epi16(bytes, 8)};
}

inline __m256i accumulate(__m256i acc, const Halves& a, const Halves& w) {
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(a.even, w.even));
  return _mm256_add_epi32(acc, _mm256_madd_epi16(a.odd, w.odd));
}

template <int kRows>
void run_tile(const GemmTile& tile) {
  __m256i acc[kRows][2];
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < 2; ++j) {
      acc[i][j] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias2 + 8 * j));
    }
  }
  const std::uint8_t* a = tile.a;
  const std::int8_t* w = tile.weights;
  for (std::ptrdiff_t k = 0; k < tile.k4; ++k, a += 4, w += 64) {
    const Halves w0 = split_weights(w);
    const Halves w1 = split_weights(w + 32);
#pragma GCC unroll 4
    for (int i = 0; i < kRows; ++i) {
      const Halves row = split_row(a + i * tile.a_stride);
      acc[i][0] = accumulate(acc[i][0], row, w0);
      acc[i][1] = accumulate(acc[i][1], row, w1);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kRows; ++i) {
    store_row(acc[i][0], acc[i][1], tile, tile.out + i * tile.out_stride);
  }
}

}  // namespace

void qu8_qc8w_gemm_4x16c4_avx2(const GemmTile& tile) noexcept {
  switch (tile.m) {
    case 1:
      return run_tile<1>(tile);
    case 2:
      return run_tile<2>(tile);
    case 3:
      return run_tile<3>(tile);
    default:
      return run_tile<4>(tile);
  }
}

}  // namespace smidgen::kernels
