#pragma once

#include "base/isa.h"
#include "kernels/output_range.h"
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
  void run(const Invocation& invocation) const noexcept override;

 private:
  std::int32_t lhs_zero_point_;
  std::int32_t rhs_zero_point_;
  float multiplier_;  // scale of lhs * scale of rhs / scale of the output
  kernels::OutputRange range_;
};

}  // namespace smidgen::ops
