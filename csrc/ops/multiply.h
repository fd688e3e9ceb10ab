#pragma once

#include "base/isa.h"
#include "kernels/multiply/multiply.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Elementwise product of two tensors of one shape, or of [N, C, H, W] and [N, C, 1, 1], in either
/// order, where the latter scales channels.
class Multiply final : public Operator {
 public:
  Multiply(const Quantization& lhs, const Quantization& rhs, const Quantization& output,
           const Clamp& clamp, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  /// Multiplies images by a factor for each of their channels.
  void scale_channels(const Invocation& invocation) const noexcept;

  kernels::MultiplyScales scales_;
  kernels::MultiplyKernel kernel_;
};

}  // namespace smidgen::ops
