#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Matrix product of uint8 rows with int8 columns, requantized per column:
//
//   acc[i][j] = bias2[j] + sum over k of a[i][k] * w[j][k]                    in int32, modulo 2^32
//   out[i][j] = round_and_clamp(float(acc[i][j]) * multiplier[j])             see OutputRange
//
// with bias2[j] = bias[j] - zero_point_a * sum over k of w[j][k] made while packing.

namespace smidgen::kernels {

/// One tile of at most mr x nr outputs.
///
/// The kernel reads 4 * k4 bytes of each of the m rows of `a`, and whole panels of the packed
/// arrays, whatever n is. It writes m rows of n bytes and nothing else. Weights beyond the real k
/// and n are zero, so what the rows hold behind their last real value does not matter.
struct GemmTile {
  std::ptrdiff_t m;            // 1 to mr
  std::ptrdiff_t n;            // 1 to nr
  std::ptrdiff_t k4;           // groups of four along k
  const std::uint8_t* a;       // [m][4 * k4]
  std::ptrdiff_t a_stride;     // bytes between rows
  const std::int8_t* weights;  // [k4][nr][4]
  const std::int32_t* bias2;   // [nr]
  const float* multipliers;    // [nr]
  std::uint8_t* out;           // [m][n]
  std::ptrdiff_t out_stride;   // bytes between rows
  OutputRange range;
};

using GemmKernel = void (*)(const GemmTile& tile) noexcept;

void qu8_qc8w_gemm_4x16c4_portable(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_4x16c4_avx2(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_6x16c4_avxvnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_14x16c4_avx512vnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_14x32c4_avx512vnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_6x64c4_avx512vnni(const GemmTile& tile) noexcept;

}  // namespace smidgen::kernels
