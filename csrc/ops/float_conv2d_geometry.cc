#include "ops/float_conv2d_geometry.h"

#include <string>

#include "base/error.h"
#include "ops/operator.h"

namespace smidgen::ops {
namespace {

void check_extents(const FloatConv2dGeometry& geometry) {
  for (const auto& pair : {geometry.kernel, geometry.stride, geometry.dilation, geometry.stretch}) {
    if (pair[0] < 1 || pair[1] < 1) {
      throw ProgramError("kernel, stride and dilation must be at least 1");
    }
  }
  const Index groups = geometry.groups;
  if (groups < 1 || geometry.in_channels < groups || geometry.out_channels < groups ||
      geometry.in_channels % groups != 0 || geometry.out_channels % groups != 0) {
    throw ProgramError("a convolution of " + std::to_string(geometry.in_channels) + " to " +
                       std::to_string(geometry.out_channels) + " channels cannot have " +
                       std::to_string(groups) + " groups");
  }
}

void expect_count(const char* what, std::size_t found, Index expected) {
  if (static_cast<Index>(found) == expected) return;
  throw ProgramError(std::string(what) + " has " + std::to_string(found) + " values, expected " +
                     std::to_string(expected));
}

Index out_extent(const FloatConv2dGeometry& geometry, const Shape& x, std::size_t axis) {
  const Index larger = (x[static_cast<int>(axis) + 2] - 1) * geometry.stretch[axis] + 1;
  const Index padded = larger + geometry.padding[axis] + geometry.padding[axis + 2];
  const Index span = geometry.reach(axis) + 1;
  return padded < span ? 0 : (padded - span) / geometry.stride[axis] + 1;
}

}  // namespace

Shape FloatConv2dGeometry::output_shape(const Shape& x) const {
  expect_rank(x, 4);
  if (x[1] != in_channels) {
    throw TensorError("the input has shape " + x.to_string() + ", expected " +
                      std::to_string(in_channels) + " channels");
  }
  const Index height = out_extent(*this, x, 0);
  const Index width = out_extent(*this, x, 1);
  if (height < 1 || width < 1) {
    throw TensorError("no window of " + std::to_string(kernel[0]) + " x " +
                      std::to_string(kernel[1]) + " fits into shape " + x.to_string());
  }
  return {x[0], out_channels, height, width};
}

void check(const FloatConv2dGeometry& geometry, std::span<const float> weight,
           std::span<const float> bias) {
  check_extents(geometry);
  expect_count("weight", weight.size(), geometry.out_channels * geometry.depth());
  expect_count("bias", bias.size(), geometry.out_channels);
}

}  // namespace smidgen::ops
