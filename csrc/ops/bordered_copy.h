#pragma once

#include <cstdint>

#include "base/partition.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Some lines of images, copied to scratch with a border, for kernels whose input has none or that
/// take wider values.
struct BorderedCopy {
  Range images;
  Range lines;  // of each image; those outside it are border
  Index left;   // pixels of border on both sides of a line
  Index right;
  std::uint8_t zero_point;
  Index value_bytes;  // 1, or 2 to widen to int16

  Index pixel_bytes(const Shape& x) const { return x[1] * value_bytes; }
  Index line_bytes(const Shape& x) const { return (left + x[3] + right) * pixel_bytes(x); }
  Index image_bytes(const Shape& x) const { return (lines.end - lines.begin) * line_bytes(x); }
  Index bytes(const Shape& x) const { return (images.end - images.begin) * image_bytes(x); }

  /// Writes bytes(x.shape) bytes.
  void write(const TensorView& x, std::uint8_t* out) const noexcept;
};

/// Widens `count` values to int16.
void widen(const std::uint8_t* values, Index count, std::uint8_t* out) noexcept;

}  // namespace smidgen::ops
