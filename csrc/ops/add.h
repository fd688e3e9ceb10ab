#pragma once

#include "base/isa.h"
#include "kernels/add/add.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Elementwise sum of two tensors of one shape.
class Add final : public Operator {
 public:
  Add(const Quantization& lhs, const Quantization& rhs, const Quantization& output,
      const Clamp& clamp, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  Quantization lhs_;  // scale: that of lhs divided by that of the output
  Quantization rhs_;
  kernels::OutputRange range_;
  kernels::AddKernel kernel_;
};

}  // namespace smidgen::ops
