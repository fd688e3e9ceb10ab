#pragma once

#include <span>
#include <vector>

#include "base/isa.h"
#include "kernels/float32/registry.h"
#include "ops/float_conv2d_geometry.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// What FloatConv2d computes, to the bit, where each output channel reads one input channel.
///
/// Some lines of a channel at a time are laid out in scratch with zeros around the image and the
/// columns that belong together for a stride side by side, so that each tap of the kernel is a row
/// of floats. Without padding and stride they are read where they lie.
class FloatDepthwise final : public Operator {
 public:
  /// Tells whether a layer is one of these, with paddings, strides and windows of the usual sizes:
  /// others would lay out much that no tap reads.
  static bool fits(const FloatConv2dGeometry& geometry);

  FloatDepthwise(const FloatConv2dGeometry& geometry, std::span<const float> weight,
                 std::span<const float> bias, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool keeps_samples_apart() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  /// How lines lie, in elements.
  struct Layout {
    Index phase;  // columns of a line whose numbers differ by multiples of the stride
    Index line;   // from one line to the next
    Index rows;   // output rows at once
  };

  Layout layout(const Shape& x, const Shape& out) const;
  Index lines(Index rows) const;
  bool reads_in_place() const;
  void set_offsets(const Layout& layout, std::ptrdiff_t* offsets) const noexcept;
  void lay_out(const float* image, const Shape& x, Index first_line, Index count,
               const Layout& layout, float* lines) const noexcept;
  void lay_out_line(std::span<const float> line, const Layout& layout, float* out) const noexcept;

  FloatConv2dGeometry geometry_;
  std::vector<float> weight_;
  std::vector<float> bias_;
  const kernels::Float32Variant<kernels::FloatDepthwiseKernel>& variant_;
};

}  // namespace smidgen::ops
