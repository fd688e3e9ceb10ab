#include "ops/binary.h"

#include <functional>

#include "base/aligned_buffer.h"
#include "base/partition.h"
#include "kernels/float32/registry.h"
#include "kernels/float32/wide.h"
#include "kernels/select.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {
namespace {

constexpr Index kBinaryWork = 8;  // operations for each value, or so

/// Walks the inputs and the output of an invocation in step; offsets count elements.
template <std::size_t N>
StridedLoop<N + 1> loop_over(const Invocation& invocation) {
  const Shape& out = invocation.output.shape;
  std::array<Strides, N + 1> strides;
  for (std::size_t i = 0; i < N; ++i) {
    strides[i] = broadcast_strides(invocation.inputs[i].shape, out);
  }
  strides[N] = broadcast_strides(out, out);
  return StridedLoop<N + 1>(out, strides);
}

template <std::size_t N>
Range places_of(const StridedLoop<N>& loop, const Invocation& invocation) {
  return partition(loop.count(), kAlignment, invocation.part, invocation.parts);
}

/// Applies a function to each pair of values.
template <typename Value, typename Result, typename Function>
void apply(const Invocation& invocation, const Function& function) {
  const auto* lhs = reinterpret_cast<const Value*>(invocation.inputs[0].data);
  const auto* rhs = reinterpret_cast<const Value*>(invocation.inputs[1].data);
  auto* out = reinterpret_cast<Result*>(invocation.output.data);
  const StridedLoop<3> loop = loop_over<2>(invocation);
  const std::array<Index, 3> steps = loop.steps();
  loop.run(places_of(loop, invocation), [&](const std::array<Index, 3>& offsets, Index count) {
    for (Index i = 0; i < count; ++i) {
      out[offsets[2] + i * steps[2]] = static_cast<Result>(
          function(lhs[offsets[0] + i * steps[0]], rhs[offsets[1] + i * steps[1]]));
    }
  });
}

template <typename Value>
void compare(const Invocation& invocation, Compare::Function function) {
  using Function = Compare::Function;
  switch (function) {
    case Function::kEq:
      return apply<Value, std::uint8_t>(invocation, std::equal_to<Value>());
    case Function::kNe:
      return apply<Value, std::uint8_t>(invocation, std::not_equal_to<Value>());
    case Function::kLt:
      return apply<Value, std::uint8_t>(invocation, std::less<Value>());
    case Function::kLe:
      return apply<Value, std::uint8_t>(invocation, std::less_equal<Value>());
    case Function::kGt:
      return apply<Value, std::uint8_t>(invocation, std::greater<Value>());
    case Function::kGe:
      return apply<Value, std::uint8_t>(invocation, std::greater_equal<Value>());
  }
}

template <typename Value>
void choose(const Invocation& invocation) {
  const std::uint8_t* condition = invocation.inputs[0].u8();
  const auto* lhs = reinterpret_cast<const Value*>(invocation.inputs[1].data);
  const auto* rhs = reinterpret_cast<const Value*>(invocation.inputs[2].data);
  auto* out = reinterpret_cast<Value*>(invocation.output.data);
  const StridedLoop<4> loop = loop_over<3>(invocation);
  const std::array<Index, 4> steps = loop.steps();
  loop.run(places_of(loop, invocation), [&](const std::array<Index, 4>& offsets, Index count) {
    for (Index i = 0; i < count; ++i) {
      const bool holds = condition[offsets[0] + i * steps[0]] != 0;
      out[offsets[3] + i * steps[3]] =
          holds ? lhs[offsets[1] + i * steps[1]] : rhs[offsets[2] + i * steps[2]];
    }
  });
}

}  // namespace

Shape BroadcastOperator::output_shape(std::span<const Shape> inputs) const {
  Shape shape = inputs[0];
  for (const Shape& other : inputs.subspan(1)) shape = broadcast(shape, other);
  return shape;
}

Index BroadcastOperator::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), kBinaryWork);
}

Binary::Binary(kernels::BinaryFunction function, Isa isa)
    : function_(function), kernel_(kernels::best_variant(kernels::binary_variants(), isa).kernel) {}

void Binary::run(const Invocation& invocation) const noexcept {
  const float* lhs = invocation.inputs[0].f32();
  const float* rhs = invocation.inputs[1].f32();
  float* out = invocation.output.f32();
  const StridedLoop<3> loop = loop_over<2>(invocation);
  const std::array<Index, 3> steps = loop.steps();
  loop.run(places_of(loop, invocation), [&](const std::array<Index, 3>& offsets, Index count) {
    kernel_({.function = function_,
             .count = count,
             .lhs = lhs + offsets[0],
             .rhs = rhs + offsets[1],
             .lhs_step = steps[0],
             .rhs_step = steps[1],
             .out = out + offsets[2]});
  });
}

void Power::run(const Invocation& invocation) const noexcept {
  apply<float, float>(invocation, kernels::power);
}

void IntegerBinary::run(const Invocation& invocation) const noexcept {
  using Word = std::uint64_t;  // whose overflow wraps around
  switch (function_) {
    case Function::kAdd:
      return apply<Word, Word>(invocation, std::plus<Word>());
    case Function::kSub:
      return apply<Word, Word>(invocation, std::minus<Word>());
    case Function::kMul:
      return apply<Word, Word>(invocation, std::multiplies<Word>());
    case Function::kAnd:
      return apply<std::uint8_t, std::uint8_t>(
          invocation, [](std::uint8_t a, std::uint8_t b) { return a != 0 && b != 0; });
    case Function::kOr:
      return apply<std::uint8_t, std::uint8_t>(
          invocation, [](std::uint8_t a, std::uint8_t b) { return a != 0 || b != 0; });
  }
}

void Compare::run(const Invocation& invocation) const noexcept {
  if (dtype_ == DType::kFloat32) {
    compare<float>(invocation, function_);
  } else {
    compare<std::int64_t>(invocation, function_);
  }
}

void Where::run(const Invocation& invocation) const noexcept {
  switch (size_of(dtype_)) {
    case 8:
      return choose<std::uint64_t>(invocation);
    case 4:
      return choose<std::uint32_t>(invocation);
    default:
      return choose<std::uint8_t>(invocation);
  }
}

}  // namespace smidgen::ops
