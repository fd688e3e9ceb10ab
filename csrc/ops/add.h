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
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

  const kernels::AddScales& scales() const { return scales_; }

  /// Adds some rows of values; for steps into which the sum is fused.
  void add(const kernels::AddRows& rows) const noexcept { kernel_(rows, scales_); }

 private:
  kernels::AddScales scales_;
  kernels::AddKernel kernel_;
};

}  // namespace smidgen::ops
