#pragma once

#include <array>

#include "base/isa.h"
#include "kernels/float32/float32.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// A function of one float32 value.
class Unary final : public Operator {
 public:
  using Parameters = std::array<float, 2>;  // as many as the function takes, then zeros

  Unary(kernels::UnaryFunction function, const Parameters& parameters, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  kernels::UnaryFunction function_;
  Parameters parameters_;
  kernels::UnaryKernel kernel_;
};

/// Those functions of one float32 value that are computed in float64; see kernels/float32/wide.h.
class WideUnary final : public Operator {
 public:
  enum class Function : std::uint8_t { kSine, kCosine, kPower };

  /// `exponent`: of kPower.
  WideUnary(Function function, float exponent) : function_(function), exponent_(exponent) {}

  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  Function function_;
  float exponent_;
};

/// The reverse of bool values.
class Not final : public Operator {
 public:
  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;
};

}  // namespace smidgen::ops
