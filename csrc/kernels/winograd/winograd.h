#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/gemm/gemm.h"

// Convolution with windows of 3x3 and stride 1 that multiplies 36 times where the definition does
// 144 times: F(4x4, 3x3) of Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for
// Convolutional Neural Networks", arXiv:1509.09308), in integers, without any rounding.
//
// For 4x4 outputs y, the 6x6 values d that their windows reach and a filter g, with the matrices of
// the paper scaled to integers:
//
//   v = B d B^T,  u = G g G^T,  m = sum over channels of u[i][j] * v[i][j],  s = A m A^T
//
// and s[i][j] = 9 * 2^(k[i] + k[j]) * y[i][j] with k = {3, 2, 1, 1}. |v| <= 12,750 and |u| <=
// 6,272, so both are words of 16 bits. All sums are modulo 2^32, where 9 has an inverse; dividing
// by the power of two leaves at least 26 bits, and y is exact as long as -2^25 <= y < 2^25.

namespace smidgen::kernels {

constexpr std::ptrdiff_t kWinogradOutputs = 4;     // of a tile along each axis
constexpr std::ptrdiff_t kWinogradPositions = 36;  // products of a tile

/// 4x4 outputs.
struct WinogradTile {
  const std::uint8_t* x;       // the first tap of the first output
  std::uint8_t* out;           // its column 0
  const std::uint8_t* addend;  // likewise, for kBytesWithAddend
  std::ptrdiff_t lines;        // outputs that exist, 1 to 4
  std::ptrdiff_t pixels;       // along a line
};

/// Some tiles times all panels of columns: one call of a kernel. Reads `channels` values of each
/// pixel that the windows of outputs reach, and whole panels of the packed arrays and the addend.
struct WinogradBlock {
  const WinogradTile* tiles;
  std::ptrdiff_t tile_count;  // at least 1
  std::ptrdiff_t channels;    // a multiple of the kernel's
  std::ptrdiff_t line_pitch;  // bytes of the input
  std::ptrdiff_t pixel_pitch;
  const std::int16_t* weights;  // u as [panels][36][channels / 2][nr][2]
  GemmOutputs outputs;          // an output pixel is a row; kBytes or kBytesWithAddend
  std::ptrdiff_t out_line_pitch;
  std::ptrdiff_t addend_line_pitch;
  std::int16_t* values;  // room for v, [36][tile_count][channels]
  std::int32_t* sums;    // room for m of a panel, [36][tile_count][nr]
};

using WinogradKernel = void (*)(const WinogradBlock& block) noexcept;

void qu8_qc8w_winograd_6x16_avx2(const WinogradBlock& block) noexcept;
void qu8_qc8w_winograd_6x16_avxvnni(const WinogradBlock& block) noexcept;
void qu8_qc8w_winograd_14x32_avx512vnni(const WinogradBlock& block) noexcept;

}  // namespace smidgen::kernels
