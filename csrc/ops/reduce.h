#pragma once

#include <vector>

#include "base/isa.h"
#include "kernels/float32/float32.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Which axes a reduction takes away, in ascending order.
struct ReducedAxes {
  std::vector<int> axes;
  bool keep_dims;
};

/// The sum, mean, maximum or minimum of float32 values over some axes.
class Reduce final : public Operator {
 public:
  Reduce(kernels::RowFunction function, ReducedAxes reduced, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  kernels::RowFunction function_;
  ReducedAxes reduced_;
  kernels::ReduceKernel kernel_;
};

/// The first place of the largest value along one axis, or of the first NaN; int64.
class ArgMax final : public Operator {
 public:
  explicit ArgMax(ReducedAxes reduced);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  ReducedAxes reduced_;
};

}  // namespace smidgen::ops
