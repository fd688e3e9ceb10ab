#pragma once

#include <array>
#include <span>
#include <vector>

#include "base/isa.h"
#include "kernels/float32/registry.h"
#include "ops/float_conv2d_geometry.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// float32 [N, C, H, W] times weight [O, C / groups, KH, KW] plus bias [O]: for each output, over
/// the weights in their order, one product, then one sum, from 0; then plus the bias.
///
/// A matrix product for each group: rows are output channels and columns pixels, some of which at a
/// time are brought together in scratch, with zeros where the window leaves the image.
class FloatConv2d final : public Operator {
 public:
  FloatConv2d(const FloatConv2dGeometry& geometry, std::span<const float> weight,
              std::span<const float> bias, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool keeps_samples_apart() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  /// Columns of one group of one image.
  struct Block {
    const float* image;  // the group's first channel
    float* out;          // the group's first output channel, at the first column
    Index group;
    Index first;  // pixel of the output
    Index columns;
  };

  Index columns_at_once(Index pixels) const;
  bool reads_in_place() const;
  void compute(const Block& block, const Shape& x, const Shape& out, float* panel) const noexcept;
  void gather(const Block& block, const Shape& x, Index out_width, float* panel) const noexcept;
  void gather_line(const float* channel, const Shape& x, std::array<Index, 2> tap,
                   std::array<Index, 2> pixel, std::span<float> out) const noexcept;

  FloatConv2dGeometry geometry_;
  std::vector<float> weight_;
  std::vector<float> bias_;
  const kernels::MatMulVariant& variant_;
};

}  // namespace smidgen::ops
