#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Matrix product of uint8 rows with int8 columns:
//
//   acc[i][j] = bias2[j] + sum over k of a[i][k] * w[j][k]                    in int32, modulo 2^32
//
// with bias2[j] = bias[j] - zero_point_a * sum over k of w[j][k] made while packing. GemmEnding
// says what becomes of the sums.

namespace smidgen::kernels {

/// What becomes of the sums of a tile; each float operation is rounded once.
enum class GemmEnding : std::uint8_t {
  /// out = clamp(round_half_even(float(acc) * multiplier[j]) + zero_point, low, high)
  kBytes,
  /// A residual addition on the spot, with q = out - zero_point of kBytes as an integer:
  /// out = clamp(round_half_even(float(q) * own_multiplier
  ///                             + float(addend - addend_zero_point) * addend_multiplier)
  ///             + zero_point, low, high)
  kBytesWithAddend,
  /// out = float(acc) * multiplier[j]
  kFloats,
  /// out = float(acc - zero_point[i] * column_sum[j]) * (scale[i] * multiplier[j]) + bias[j]
  kFloatsOfScaledRows,
};

/// What the sums of a residual addition are made of. Both products of 255 and a multiplier stay
/// below 2^30.
struct GemmAddend {
  float own_low;  // bounds of q
  float own_high;
  float own_multiplier;
  float multiplier;
  std::int32_t zero_point;
};

/// How a row was quantized that has a scale of its own.
struct RowQuantization {
  float scale;
  std::int32_t zero_point;
};

/// One tile of at most mr x nr outputs.
///
/// A row along k is `segments` runs of contiguous values, each padded with zero weights to groups
/// of four bytes; so the rows of a convolution are read where they lie, one segment for each row of
/// its window. The first ceil(m / 2) rows begin at a[0], the others at a[1], and likewise for the
/// output; so a tile covers a piece of one line of pixels or two short lines.
///
/// `tiles` such tiles follow each other on one line, each m rows further; so short rows are not
/// slowed down by calls.
///
/// The kernel reads 4 * k_groups bytes of each segment of each row, and whole panels of the packed
/// arrays and of the addend, whatever n is. It writes m rows of n values and nothing else. What the
/// rows hold behind the last real value of a segment does not matter.
///
/// Kernels but the portable ones convert to bytes without a bound: every |float(acc) * multiplier|
/// must be below 2^31, which level_for() proves.
struct GemmTile {
  std::ptrdiff_t tiles = 1;
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
  GemmEnding ending;
  std::uint8_t* out[2];       // bytes or floats
  std::ptrdiff_t out_stride;  // bytes between rows
  ByteRange range;            // of the bytes that are written

  // kBytesWithAddend
  const GemmAddend* addend;
  const std::uint8_t* addend_rows[2];
  std::ptrdiff_t addend_stride;  // bytes between rows

  // kFloatsOfScaledRows
  const RowQuantization* row_quantization[2];
  const std::int32_t* column_sums;  // [nr]
  const float* bias;                // [nr]
};

using GemmKernel = void (*)(const GemmTile& tile) noexcept;

void qu8_qc8w_gemm_4x16c4_portable(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_6x16c2_avx2(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_6x16c4_avxvnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_14x16c4_avx512vnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_14x32c4_avx512vnni(const GemmTile& tile) noexcept;
void qu8_qc8w_gemm_6x64c4_avx512vnni(const GemmTile& tile) noexcept;

}  // namespace smidgen::kernels
