#include <immintrin.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/store_ymm.inc"

namespace smidgen::kernels {
namespace {

template <int kRows>
void run_tile(const GemmTile& tile) {
  __m256i acc[kRows][2];
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < 2; ++j) {
      acc[i][j] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile.bias2 + 8 * j));
    }
  }
  const std::uint8_t* a = tile.a;
  const std::int8_t* w = tile.weights;
  for (std::ptrdiff_t k = 0; k < tile.k4; ++k, a += 4, w += 64) {
    const __m256i w0 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
    const __m256i w1 = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 32));
#pragma GCC unroll 6
    for (int i = 0; i < kRows; ++i) {
      const __m256i row = _mm256_set1_epi32(load_four(a + i * tile.a_stride));
      acc[i][0] = _mm256_dpbusd_avx_epi32(acc[i][0], row, w0);
      acc[i][1] = _mm256_dpbusd_avx_epi32(acc[i][1], row, w1);
    }
  }
#pragma GCC unroll 6
  for (int i = 0; i < kRows; ++i) {
    store_row(acc[i][0], acc[i][1], tile, tile.out + i * tile.out_stride);
  }
}

}  // namespace

void qu8_qc8w_gemm_6x16c4_avxvnni(const GemmTile& tile) noexcept {
  switch (tile.m) {
    case 1:
      return run_tile<1>(tile);
    case 2:
      return run_tile<2>(tile);
    case 3:
      return run_tile<3>(tile);
    case 4:
      return run_tile<4>(tile);
    case 5:
      return run_tile<5>(tile);
    default:
      return run_tile<6>(tile);
  }
}

}  // namespace smidgen::kernels
