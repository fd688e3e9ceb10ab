#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Pooling of one window of uint8 pixels, all channels. The caller has clipped the window to the
// image.
//
//   average:  out[c] = round_and_clamp((float(offset + sum of x) * multiplier) / count)
//
//   maximum:  out[c] = max(0, largest x)
//
// See OutputRange.

namespace smidgen::kernels {

/// A window of rows x columns pixels. Kernels read and write exactly `channels` bytes a pixel.
struct PoolWindow {
  const std::uint8_t* x;         // first pixel, channel 0
  std::ptrdiff_t row_stride;     // bytes between rows of the window
  std::ptrdiff_t column_stride;  // bytes between pixels of a row
  std::ptrdiff_t rows;           // may be 0
  std::ptrdiff_t columns;        // may be 0
  std::ptrdiff_t channels;
  std::uint8_t* out;  // [channels]
};

struct AverageScaling {
  std::int32_t offset;  // -(pixels inside) * zero point, modulo 2^32
  float multiplier;     // scale of x / scale of out
  float count;          // divisor
  OutputRange range;
};

using AverageKernel = void (*)(const PoolWindow& window, const AverageScaling& scaling) noexcept;
using MaximumKernel = void (*)(const PoolWindow& window) noexcept;

void qu8_average_portable(const PoolWindow& window, const AverageScaling& scaling) noexcept;
void qu8_average_avx2(const PoolWindow& window, const AverageScaling& scaling) noexcept;
void u8_maximum_portable(const PoolWindow& window) noexcept;
void u8_maximum_avx2(const PoolWindow& window) noexcept;

}  // namespace smidgen::kernels
