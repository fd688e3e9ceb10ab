#pragma once

#include <array>
#include <span>

#include "base/shape.h"

namespace smidgen::ops {

/// A convolution of the image that `stretch` - 1 zeros between neighbouring pixels make larger. A
/// transposed convolution is one with stride 1 whose stretch is the stride that it is known by.
struct FloatConv2dGeometry {
  Index in_channels;
  Index out_channels;
  Index groups;
  std::array<Index, 2> kernel;
  std::array<Index, 2> stride;
  std::array<Index, 4> padding;  // top, left, bottom, right of the larger image; below 0 cuts off
  std::array<Index, 2> dilation;
  std::array<Index, 2> stretch;

  /// Weights of an output channel.
  Index depth() const { return in_channels / groups * kernel[0] * kernel[1]; }

  /// From the first to the last tap of the kernel along an axis, in pixels of the larger image.
  Index reach(std::size_t axis) const { return dilation[axis] * (kernel[axis] - 1); }

  /// The shape that comes of [N, C, H, W]. Throws TensorError.
  Shape output_shape(const Shape& x) const;
};

/// Checks the geometry and the numbers of its weights. Throws ProgramError.
void check(const FloatConv2dGeometry& geometry, std::span<const float> weight,
           std::span<const float> bias);

}  // namespace smidgen::ops
