#pragma once

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Which values of an axis are kept, as smidgen.program.Slice says.
struct SliceRange {
  int axis;
  Index start;
  Index stop;
  Index stride;
};

/// Every stride-th value from start to before stop along an axis.
class Slice final : public Operator {
 public:
  Slice(const SliceRange& range, DType dtype);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  SliceRange range_;
  DType dtype_;
};

}  // namespace smidgen::ops
