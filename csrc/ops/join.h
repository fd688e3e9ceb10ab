#pragma once

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Tensors of any type joined along any axis. Concat does images along their channels.
class Join final : public Operator {
 public:
  Join(int axis, DType dtype);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  int axis_;
  DType dtype_;
};

}  // namespace smidgen::ops
