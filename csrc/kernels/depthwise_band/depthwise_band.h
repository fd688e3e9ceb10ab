#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// The depthwise convolution of depthwise.h for windows of 3, 5 or 7 lines, several output lines at
// a time: a line of the input that several output lines need is read and interleaved once.
//
// Lines of the input are interleaved four by four, so that each 32-bit lane holds four values of
// one channel, one below the other, and one dot product serves four taps. Of two neighbouring
// output lines the second uses the same four lines with weights moved down by one.
//
// Windows of 5 lines with stride 1 leave two to the last group. There two columns stand side by
// side, with these lines of both: windows of 5 columns have three such groups instead of five.

namespace smidgen::kernels {

/// Up to `most_lines` output lines of the variant, `runs` runs of values on each.
///
/// A run is what lies without gaps in input and output alike: the channels of one pixel, or, where
/// the stride along the line is 1 and pixels touch, the whole line. Its values take the weights of
/// block after block of the packed arrays, over and over.
///
/// Where a pixel ends with so few values that several such rests fit a block, the last block of the
/// packed arrays has `rests` of them, all alike, and the kernel may compute as many pixels at once.
///
/// The kernel may read each window line up to a whole block behind the end of a run; it writes
/// `lines` times `runs` times `run_bytes` bytes and nothing else. Every |float(acc) * multiplier|
/// must be below 2^31.
struct DepthwiseBand {
  std::ptrdiff_t lines;
  std::ptrdiff_t runs;
  std::ptrdiff_t run_bytes;
  const std::uint8_t* x;         // first tap of the first window of the first output line
  std::ptrdiff_t x_lines;        // lines that the windows of all output lines cover
  std::ptrdiff_t x_line_stride;  // bytes between lines of the input
  std::ptrdiff_t x_run_stride;   // bytes between first taps of one run and the next
  std::ptrdiff_t columns;        // taps of a line of the window
  std::ptrdiff_t column_stride;  // bytes between them
  std::ptrdiff_t blocks;         // of the packed arrays
  std::ptrdiff_t rests;          // in the last of them, 1 unless they are pixels' rests
  const std::int8_t* weights;    // [blocks][columns][4][groups][shifts][block]
  const std::int32_t* bias2;     // [blocks][block]
  const float* multipliers;      // [blocks][block]
  const float* lowerings;        // [blocks][block] if bias2 raises the sums for bytes of the full
                                 // range, see raised_sums.h; else null
  std::uint8_t* out;
  std::ptrdiff_t out_line_stride;
  std::ptrdiff_t out_run_stride;
  ByteRange range;
};

using DepthwiseBandKernel = void (*)(const DepthwiseBand& band) noexcept;

void qu8_qc8w_depthwise_3s1_64_avx512vnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_3s2_64_avx512vnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_5s1_64_avx512vnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_5s2_64_avx512vnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_7s1_64_avx512vnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_7s2_64_avx512vnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_3s1_32_avxvnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_3s2_32_avxvnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_5s1_32_avxvnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_5s2_32_avxvnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_7s1_32_avxvnni(const DepthwiseBand& band) noexcept;
void qu8_qc8w_depthwise_7s2_32_avxvnni(const DepthwiseBand& band) noexcept;

}  // namespace smidgen::kernels
