#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Matrix product of uint8 rows with int8 columns, requantized per column:
//
//   acc[i][j] = bias2[j] + sum over k of a[i][k] * w[j][k]                    in int32, modulo 2^32
//   out[i][j] = clamp(round_half_even(float(acc[i][j]) * multiplier[j]) + zero_point, low, high)
//
// with bias2[j] = bias[j] - zero_point_a * sum over k of w[j][k] made while packing. A residual
// addition may follow on the spot, with q = out[i][j] - zero_point as an integer and the bytes of
// another tensor:
//
//   sum[i][j] = float(q) * own_multiplier + float(addend[i][j] - addend_zero_point) * multiplier
//   out[i][j] = clamp(round_half_even(sum[i][j]) + zero_point, low, high)
//
// in three float operations, each rounded once.

namespace smidgen::kernels {

/// What the sums of a residual addition are made of. Both products of 255 and a multiplier stay
/// below 2^30.
struct GemmAddend {
  float own_low;  // bounds of q
  float own_high;
  float own_multiplier;
  float multiplier;
  std::int32_t zero_point;
};

/// One tile of at most mr x nr outputs.
///
/// A row along k is `segments` runs of contiguous values, each padded with zero weights to groups
/// of four bytes; so the rows of a convolution are read where they lie, one segment for each row of
/// its window. The first ceil(m / 2) rows begin at a[0], the others at a[1], and likewise for the
/// output; so a tile covers a piece of one line of pixels or two short lines.
///
/// The kernel reads 4 * k_groups bytes of each segment of each row, and whole panels of the packed
/// arrays and of the addend, whatever n is. It writes m rows of n bytes and nothing else. What the
/// rows hold behind the last real value of a segment does not matter.
///
/// Kernels but the portable ones convert without a bound: every |float(acc) * multiplier| must be
/// below 2^31, which packing proves.
struct GemmTile {
  std::ptrdiff_t m;                       // 1 to mr
  std::ptrdiff_t n;                       // 1 to nr
  std::ptrdiff_t segments;                // along k
  std::ptrdiff_t k_groups;                // groups of four bytes in a segment
  const std::ptrdiff_t* segment_offsets;  // [segments] bytes from the begin of a row
  const std::uint8_t* a[2];               // the kernel's `depth` says what a group holds
  std::ptrdiff_t a_stride;                // bytes between rows
  const std::int8_t* weights;             // [segments][k_groups][nr][depth]
  std::ptrdiff_t prefetch;                // bytes from weights read to weights worth fetching
  const std::int32_t* bias2;              // [nr]
  const float* multipliers;               // [nr]
  std::uint8_t* out[2];
  std::ptrdiff_t out_stride;  // bytes between rows
  ByteRange range;            // of what is written
  const GemmAddend* addend;   // or null
  const std::uint8_t* addend_rows[2];
  std::ptrdiff_t addend_stride;  // bytes between rows
};

using GemmKernel = void (*)(const GemmTile& tile) noexcept;

void qu8_qc8w_gemm_4x16c4_portable(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_6x16c2_avx2(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_6x16c4_avxvnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_14x16c4_avx512vnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_14x32c4_avx512vnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_6x64c4_avx512vnni(const GemmTile& tile) noexcept;

}  // namespace smidgen::kernels
