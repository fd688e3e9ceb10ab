#pragma once

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// The slices of a tensor along an axis that int64 indices name, each clamped to those that exist.
class Gather final : public Operator {
 public:
  Gather(int axis, DType dtype);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  int axis_;
  DType dtype_;
};

}  // namespace smidgen::ops
