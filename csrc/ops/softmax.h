#pragma once

#include "base/isa.h"
#include "kernels/float32/float32.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Softmax of float32 values along an axis.
class Softmax final : public Operator {
 public:
  Softmax(int axis, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  int axis_;
  kernels::SoftmaxKernel kernel_;
};

}  // namespace smidgen::ops
