#pragma once

#include "base/dtype.h"
#include "base/isa.h"
#include "kernels/float32/float32.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// What all functions of two tensors have in common: numpy's broadcasting.
class BroadcastOperator : public Operator {
 public:
  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
};

/// A function of two float32 values.
class Binary final : public BroadcastOperator {
 public:
  Binary(kernels::BinaryFunction function, Isa isa);

  void run(const Invocation& invocation) const noexcept override;

  kernels::BinaryFunction function() const { return function_; }

 private:
  kernels::BinaryFunction function_;
  kernels::BinaryKernel kernel_;
};

/// lhs to the power of rhs.
class Power final : public BroadcastOperator {
 public:
  void run(const Invocation& invocation) const noexcept override;
};

/// A function of two int64 values, which wraps around, or of two bool values.
class IntegerBinary final : public BroadcastOperator {
 public:
  enum class Function : std::uint8_t { kAdd, kSub, kMul, kAnd, kOr };

  /// kAnd and kOr take bool, the others int64.
  explicit IntegerBinary(Function function) : function_(function) {}

  void run(const Invocation& invocation) const noexcept override;

 private:
  Function function_;
};

/// A comparison of two float32 or two int64 tensors to bool.
class Compare final : public BroadcastOperator {
 public:
  enum class Function : std::uint8_t { kEq, kNe, kLt, kLe, kGt, kGe };

  Compare(Function function, DType dtype) : function_(function), dtype_(dtype) {}

  void run(const Invocation& invocation) const noexcept override;

 private:
  Function function_;
  DType dtype_;
};

/// The second tensor where the first one, bool, holds, else the third; any type without pixels.
class Where final : public BroadcastOperator {
 public:
  explicit Where(DType dtype) : dtype_(dtype) {}

  void run(const Invocation& invocation) const noexcept override;

 private:
  DType dtype_;
};

}  // namespace smidgen::ops
