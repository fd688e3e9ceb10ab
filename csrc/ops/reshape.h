#pragma once

#include <vector>

#include "base/dtype.h"
#include "base/isa.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// The same values in logical row-major order under another shape.
class Reshape final : public Operator {
 public:
  /// `target`: one extent an axis; 0 keeps the input's, -1 (at most once) takes what is left.
  Reshape(std::vector<Index> target, DType dtype, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  bool has_pixels(const Shape& shape) const;

  std::vector<Index> target_;
  DType dtype_;
  Isa isa_;
};

}  // namespace smidgen::ops
