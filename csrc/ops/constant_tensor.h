#pragma once

#include "base/aligned_buffer.h"
#include "base/dtype.h"
#include "base/isa.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// A constant as it lies in memory as a tensor. Reads nothing.
class ConstantTensor final : public Operator {
 public:
  /// `values`: row-major, of the shape and type.
  ConstantTensor(const Shape& shape, DType dtype, std::span<const std::byte> values, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

  /// The tensor without gaps, to be read in place instead of running the step.
  const TensorView& view() const { return view_; }

 private:
  AlignedBuffer buffer_;
  TensorView view_;
  DType dtype_;
};

}  // namespace smidgen::ops
