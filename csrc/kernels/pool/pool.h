#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Pooling of windows of uint8 pixels, all channels. The caller has clipped the windows to the
// image.
//
//   average:  out[c] = round_and_clamp((float(offset + sum of x) * multiplier) / count)
//
//   maximum:  out[c] = max(0, largest x)
//
// See OutputRange.

namespace smidgen::kernels {

/// A run of windows at equal distances, each of rows x columns pixels. Kernels read and write
/// exactly `channels` bytes a pixel.
struct PoolRun {
  const std::uint8_t* x;         // first pixel of the first window, channel 0
  std::ptrdiff_t row_stride;     // bytes between rows of a window
  std::ptrdiff_t column_stride;  // bytes between pixels of a row
  std::ptrdiff_t window_stride;  // bytes between windows
  std::ptrdiff_t rows;           // may be 0
  std::ptrdiff_t columns;        // may be 0
  std::ptrdiff_t windows;
  std::ptrdiff_t channels;
  std::uint8_t* out;  // [windows][channels], never part of x
  std::ptrdiff_t out_stride;
};

struct AverageScaling {
  std::int32_t offset;  // -(pixels inside) * zero point, modulo 2^32
  float multiplier;     // scale of x / scale of out
  float count;          // divisor, at least 1
  OutputRange range;
};

using AverageKernel = void (*)(const PoolRun& run, const AverageScaling& scaling) noexcept;
using MaximumKernel = void (*)(const PoolRun& run) noexcept;

void qu8_average_portable(const PoolRun& run, const AverageScaling& scaling) noexcept;
void qu8_average_avx2(const PoolRun& run, const AverageScaling& scaling) noexcept;
void qu8_average_avx512vnni(const PoolRun& run, const AverageScaling& scaling) noexcept;
void u8_maximum_portable(const PoolRun& run) noexcept;
void u8_maximum_avx2(const PoolRun& run) noexcept;
void u8_maximum_avx512vnni(const PoolRun& run) noexcept;

}  // namespace smidgen::kernels
