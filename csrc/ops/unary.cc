#include "ops/unary.h"

#include "base/aligned_buffer.h"
#include "base/partition.h"
#include "kernels/float32/registry.h"
#include "kernels/float32/wide.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

constexpr Index kUnaryWork = 16;  // operations for each value, or so
constexpr Index kWideWork = 256;

Range elements_of(const Invocation& invocation) {
  return partition(invocation.output.shape.element_count(), kAlignment, invocation.part,
                   invocation.parts);
}

}  // namespace

Unary::Unary(kernels::UnaryFunction function, const Parameters& parameters, Isa isa)
    : function_(function),
      parameters_(parameters),
      kernel_(kernels::best_variant(kernels::unary_variants(), isa).kernel) {}

Index Unary::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), kUnaryWork);
}

void Unary::run(const Invocation& invocation) const noexcept {
  const Range mine = elements_of(invocation);
  kernel_({.function = function_,
           .count = mine.end - mine.begin,
           .x = invocation.inputs[0].f32() + mine.begin,
           .parameters = parameters_.data(),
           .out = invocation.output.f32() + mine.begin});
}

Index WideUnary::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), kWideWork);
}

void WideUnary::run(const Invocation& invocation) const noexcept {
  const float* x = invocation.inputs[0].f32();
  float* out = invocation.output.f32();
  const Range mine = elements_of(invocation);
  for (Index i = mine.begin; i < mine.end; ++i) {
    switch (function_) {
      case Function::kSine:
        out[i] = kernels::sine(x[i]);
        break;
      case Function::kCosine:
        out[i] = kernels::cosine(x[i]);
        break;
      case Function::kPower:
        out[i] = kernels::power(x[i], exponent_);
        break;
    }
  }
}

Index Not::work(std::span<const Shape> inputs) const { return inputs[0].element_count(); }

void Not::run(const Invocation& invocation) const noexcept {
  const std::uint8_t* x = invocation.inputs[0].u8();
  const Range mine = elements_of(invocation);
  for (Index i = mine.begin; i < mine.end; ++i) {
    invocation.output.u8()[i] = x[i] == 0 ? 1 : 0;
  }
}

}  // namespace smidgen::ops
