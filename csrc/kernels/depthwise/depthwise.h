#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Depthwise convolution of uint8 pixels with one int8 filter a channel, requantized per channel:
//
//   acc[p][c] = bias2[c] + sum over taps t of x[p * x_pixel_stride + tap_offsets[t] + c] * w[t][c]
//
//   out[p][c] = round_and_clamp(float(acc[p][c]) * multiplier[c])
//
// with acc in int32, modulo 2^32 (see OutputRange), and
// bias2[c] = bias[c] - zero_point_x * sum over t of w[t][c] made while packing. The caller has
// laid padding out as pixels that hold the zero point.

namespace smidgen::kernels {

/// One row of outputs, all channels.
///
/// The kernel may read each pixel up to its channels rounded up to the variant's block; it writes
/// `pixels` times `channels` bytes and nothing else. The order of channels within a packed block is
/// the variant's own.
struct DepthwiseRow {
  std::ptrdiff_t pixels;
  std::ptrdiff_t channels;
  const std::uint8_t* x;              // first tap of the first window, channel 0
  std::ptrdiff_t x_pixel_stride;      // bytes between windows
  const std::ptrdiff_t* tap_offsets;  // [taps] bytes from the first tap
  std::ptrdiff_t taps;                // a multiple of the variant's tap group
  const std::int8_t* weights;         // [blocks][taps / group][block][group]
  const std::int32_t* bias2;          // [blocks][block]
  const float* multipliers;           // [blocks][block]
  std::uint8_t* out;                  // [pixels][channels]
  std::ptrdiff_t out_pixel_stride;    // bytes between pixels
  OutputRange range;
};

using DepthwiseKernel = void (*)(const DepthwiseRow& row) noexcept;

void qu8_qc8w_depthwise_16c1_portable(const DepthwiseRow& row) noexcept;
void qu8_qc8w_depthwise_16c2_avx2(const DepthwiseRow& row) noexcept;
void qu8_qc8w_depthwise_32c4_avxvnni(const DepthwiseRow& row) noexcept;
void qu8_qc8w_depthwise_64c4_avx512vnni(const DepthwiseRow& row) noexcept;

}  // namespace smidgen::kernels
