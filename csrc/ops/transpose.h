#pragma once

#include <vector>

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Axis i of the output is axis permutation[i] of the input.
class Transpose final : public Operator {
 public:
  Transpose(std::vector<int> permutation, DType dtype);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  std::vector<int> permutation_;
  DType dtype_;
};

}  // namespace smidgen::ops
