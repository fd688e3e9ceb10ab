#pragma once

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// A change of type among float32, int64 and bool.
class Cast final : public Operator {
 public:
  Cast(DType from, DType to) : from_(from), to_(to) {}

  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  DType from_;
  DType to_;
};

}  // namespace smidgen::ops
