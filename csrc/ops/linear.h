#pragma once

#include "base/isa.h"
#include "ops/matrix_product.h"
#include "ops/product_epilogue.h"
#include "ops/requantization.h"

namespace smidgen::ops {

/// [..., I] times weight [O, I], requantized to [..., O] or scaled to float32.
class Linear final : public Operator {
 public:
  Linear(Index in_features, Index out_features, const WeightedLayer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool can_fuse(const Epilogue& epilogue) const override;
  int candidate_count(std::span<const Shape> inputs, int parts) const override;
  std::string signature() const override;
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  bool is_float_;
  kernels::OutputRange range_;
  MatrixProduct product_;
};

/// Replaces the last extent. Throws TensorError unless it is `features` and the values before it
/// are rows in memory.
Shape linear_shape(const Shape& input, Index features, Index outputs);

/// The number of rows of `features` values.
Index row_count(const Shape& input);

}  // namespace smidgen::ops
