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

/// Where the rows of one tile lie. The first ceil(m / 2) rows begin at a[0], the others at a[1],
/// and likewise for all else; so a tile covers a piece of one line of pixels or two short lines.
struct GemmTile {
  const std::uint8_t* a[2];
  std::uint8_t* out[2];                        // of column 0; bytes or floats
  const std::uint8_t* addend[2];               // likewise, for kBytesWithAddend
  const RowQuantization* row_quantization[2];  // for kFloatsOfScaledRows
  std::ptrdiff_t x;                            // of the first row in its line, if there are gaps
};

/// Where tiles run on over the ends of lines: of each `pitch` rows the first `width` count, and the
/// next line begins at the next row. What a kernel computes of the rows between is thrown away.
struct GemmGaps {
  std::ptrdiff_t pitch;  // 0 if there are none
  std::ptrdiff_t width;
  std::ptrdiff_t out_line_stride;     // bytes between lines
  std::ptrdiff_t addend_line_stride;  // bytes between lines
};

/// What becomes of the sums of some columns, and where it goes.
struct GemmOutputs {
  std::ptrdiff_t n;           // columns of all panels; all but the last have nr
  std::ptrdiff_t column;      // of `out` and `addend`, where the first panel begins
  const std::int32_t* bias2;  // [panels][nr]
  const float* multipliers;   // [panels][nr]
  const float* lowerings;     // [panels][nr] if bias2 raises the sums for bytes of the full range,
                              // see raised_sums.h; else null
  GemmEnding ending;
  std::ptrdiff_t stride;  // bytes between rows
  ByteRange range;        // of the bytes that are written

  // kBytesWithAddend
  const GemmAddend* addend;
  std::ptrdiff_t addend_stride;  // bytes between rows

  // kFloatsOfScaledRows
  const std::int32_t* column_sums;  // [panels][nr]
  const float* bias;                // [panels][nr]
};

/// Some tiles of rows times some panels of columns: one call of a kernel.
///
/// A row along k is `segments` runs of contiguous values, each padded with zero weights to whole
/// groups of four bytes; so the rows of a convolution are read where they lie, one segment for each
/// row of its window.
///
/// The kernel computes panel by panel, and tile by tile in each. It reads 4 * k_groups bytes of
/// each segment of each row, and whole panels of the packed arrays and of the addend, whatever n
/// is. It writes m rows of n values for each tile and nothing else. What the rows hold behind the
/// last real value of a segment does not matter.
///
/// Kernels but the portable ones convert to bytes without a bound: every |float(acc) * multiplier|
/// must be below 2^31, which level_for() proves.
struct GemmBlock {
  std::ptrdiff_t m;  // rows of every tile, 1 to mr
  GemmGaps gaps;     // none unless the kernel skips them
  const GemmTile* tiles;
  std::ptrdiff_t tile_count;              // at least 1
  std::ptrdiff_t segments;                // along k
  std::ptrdiff_t k_groups;                // groups of four bytes in a segment; a multiple of the
                                          // kernel's group_step
  const std::ptrdiff_t* segment_offsets;  // [segments] bytes from the begin of a row
  std::ptrdiff_t a_stride;                // bytes between rows; the kernel's `depth` says what
                                          // four bytes hold
  const std::int8_t* weights;             // [panels][segments][k_groups / adjacent][nr]
                                          // [adjacent][depth], with the kernel's `adjacent` groups
                                          // of a column next to each other
  GemmOutputs outputs;
};

using GemmKernel = void (*)(const GemmBlock& block) noexcept;

void qu8_qc8w_gemm_4x16c4_portable(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_6x16c2_avx2(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_6x16c4_avxvnni(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_4x24c4_avxvnni(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_28x8c8_avx512vnni(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_28x16c4_avx512vnni(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_14x32c4_avx512vnni(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_6x64c4_avx512vnni(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_32x16c64_amx(const GemmBlock& block) noexcept;
void qu8_qc8w_gemm_32x32c64_amx(const GemmBlock& block) noexcept;

}  // namespace smidgen::kernels
