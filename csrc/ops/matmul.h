#pragma once

#include "base/isa.h"
#include "kernels/float32/registry.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Product of float32 matrices, leading axes broadcast.
class MatMul final : public Operator {
 public:
  MatMul(bool transpose_rhs, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  struct Extents {
    Index m;
    Index n;
    Index k;
  };

  Extents extents(const Shape& lhs, const Shape& rhs) const;
  void multiply(const float* a, Index rows, const float* b, const Extents& extents, float* out,
                float* panel) const noexcept;
  void pack_panel(const float* b, Index first, Index columns, const Extents& extents,
                  float* panel) const noexcept;

  bool transpose_rhs_;
  const kernels::MatMulVariant& variant_;
};

}  // namespace smidgen::ops
