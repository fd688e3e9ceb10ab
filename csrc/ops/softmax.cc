#include "ops/softmax.h"

#include <algorithm>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/float32/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

constexpr Index kColumnsTogether = 16;  // so that each cache line is read once

/// How many values lie within one step of the axis.
Index inner_count(const Shape& shape, int axis) {
  Index count = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) count *= shape[i];
  return count;
}

}  // namespace

Softmax::Softmax(int axis, Isa isa)
    : axis_(axis), kernel_(kernels::best_variant(kernels::softmax_variants(), isa).kernel) {
  if (axis < 0 || axis >= kMaxRank) throw ProgramError("softmax of axis " + std::to_string(axis));
}

Shape Softmax::output_shape(std::span<const Shape> inputs) const {
  if (axis_ >= inputs[0].rank()) {
    throw TensorError("the input has shape " + inputs[0].to_string() + ", which has no axis " +
                      std::to_string(axis_));
  }
  return inputs[0];
}

Index Softmax::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), 24);
}

Index Softmax::scratch_bytes(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  if (inner_count(x, axis_) == 1) return 0;
  return saturating_product(x[axis_], kColumnsTogether * static_cast<Index>(sizeof(float)));
}

void Softmax::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  float* out = invocation.output.f32();
  const Index length = x.shape[axis_];
  const Index inner = inner_count(x.shape, axis_);
  const Index rows = x.shape.element_count() / length;
  if (inner == 1) {
    const Range mine = partition(rows, 1, invocation.part, invocation.parts);
    kernel_(
        {mine.end - mine.begin, length, x.f32() + mine.begin * length, out + mine.begin * length});
    return;
  }
  // Rows across memory come together in scratch, some neighbours at a time.
  auto* gathered = reinterpret_cast<float*>(invocation.scratch);
  const Range mine = partition(rows, kColumnsTogether, invocation.part, invocation.parts);
  for (Index first = mine.begin; first < mine.end;) {
    const Index column = first % inner;
    const Index count = std::min({kColumnsTogether, mine.end - first, inner - column});
    const Index start = first / inner * length * inner + column;
    for (Index i = 0; i < length; ++i) {
      const float* from = x.f32() + start + i * inner;
      for (Index j = 0; j < count; ++j) gathered[j * length + i] = from[j];
    }
    kernel_({count, length, gathered, gathered});
    for (Index i = 0; i < length; ++i) {
      float* to = out + start + i * inner;
      for (Index j = 0; j < count; ++j) to[j] = gathered[j * length + i];
    }
    first += count;
  }
}

}  // namespace smidgen::ops
