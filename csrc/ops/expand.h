#pragma once

#include <vector>

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// A tensor broadcast to a shape.
class Expand final : public Operator {
 public:
  /// `target`: one extent an axis of the output; 0 keeps the input's, counted from the end.
  Expand(std::vector<Index> target, DType dtype);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  std::vector<Index> target_;
  DType dtype_;
};

}  // namespace smidgen::ops
