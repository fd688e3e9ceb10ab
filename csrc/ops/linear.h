#pragma once

#include "base/isa.h"
#include "kernels/gemm/pack.h"
#include "ops/requantization.h"

namespace smidgen::ops {

/// [N, I] times weight [O, I], requantized to [N, O].
class Linear final : public Operator {
 public:
  Linear(Index in_features, Index out_features, const WeightedLayer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  kernels::OutputRange range_;
  kernels::PackedGemm packed_;
};

}  // namespace smidgen::ops
