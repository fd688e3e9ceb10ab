#pragma once

#include "ops/operator.h"

namespace smidgen::ops {

/// Tensors joined along axis 1.
class Concat final : public Operator {
 public:
  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;
};

}  // namespace smidgen::ops
