#pragma once

#include "base/aligned_buffer.h"
#include "base/isa.h"
#include "kernels/float32/float32.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Rows of an int8 table by int64 indices, as float32. Indices are clamped to those that exist.
class Embedding final : public Operator {
 public:
  /// `table`: [scales.size()][D].
  Embedding(std::span<const std::int8_t> table, std::span<const float> scales, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  Index rows_;
  Index columns_;
  AlignedBuffer table_;
  AlignedBuffer scales_;
  kernels::ScaleRowKernel kernel_;
};

}  // namespace smidgen::ops
