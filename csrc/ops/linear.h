#pragma once

#include "base/isa.h"
#include "base/partition.h"
#include "kernels/gemm/run.h"
#include "ops/product_epilogue.h"
#include "ops/requantization.h"

namespace smidgen::ops {

/// [..., I] times weight [O, I], requantized to [..., O].
class Linear final : public Operator {
 public:
  Linear(Index in_features, Index out_features, const WeightedLayer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool can_fuse(const Epilogue& epilogue) const override {
    return ProductEpilogue::can_do(epilogue);
  }
  void run(const Invocation& invocation) const noexcept override;

 private:
  /// Rows that are multiplied at once: all, or as many as are widened into scratch at a time.
  Index rows_at_once(Index rows) const;

  kernels::OutputRange range_;
  kernels::PackedGemm packed_;
};

}  // namespace smidgen::ops
