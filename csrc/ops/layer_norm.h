#pragma once

#include "base/aligned_buffer.h"
#include "base/isa.h"
#include "kernels/float32/float32.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// What a layer norm has beside its input; empty spans where there is no weight or bias.
struct LayerNormConstants {
  std::span<const float> weight;
  std::span<const float> bias;
  float epsilon;
};

/// float32 rows along the last axis, normalized. Adds two inputs up where it gets two, and
/// quantizes rows as soon as they are there.
class LayerNorm final : public Operator {
 public:
  LayerNorm(const LayerNormConstants& constants, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool can_fuse(const Epilogue& epilogue) const override {
    return epilogue.lookup == nullptr && epilogue.add == nullptr;
  }
  bool can_add_inputs() const override { return true; }
  bool can_overwrite_input() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  AlignedBuffer weight_;
  AlignedBuffer bias_;
  float epsilon_;
  kernels::LayerNormKernel kernel_;
};

}  // namespace smidgen::ops
