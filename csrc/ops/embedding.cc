#include "ops/embedding.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/float32/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {

Embedding::Embedding(std::span<const std::int8_t> table, std::span<const float> scales, Isa isa)
    : rows_(static_cast<Index>(scales.size())),
      columns_(0),
      table_(static_cast<Index>(table.size())),
      scales_(static_cast<Index>(scales.size_bytes())),
      kernel_(kernels::best_variant(kernels::scale_row_variants(), isa).kernel) {
  if (table.empty() || scales.empty() || table.size() % scales.size() != 0) {
    throw ProgramError("a table of " + std::to_string(table.size()) + " values has " +
                       std::to_string(scales.size()) + " scales, expected one a row");
  }
  columns_ = static_cast<Index>(table.size()) / rows_;
  std::ranges::copy(table, table_.as<std::int8_t>());
  std::ranges::copy(scales, scales_.as<float>());
}

Shape Embedding::output_shape(std::span<const Shape> inputs) const {
  std::vector<Index> extents;
  for (int axis = 0; axis < inputs[0].rank(); ++axis) extents.push_back(inputs[0][axis]);
  extents.push_back(columns_);
  return Shape(std::span<const Index>(extents));
}

Index Embedding::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), saturating_product(4, columns_));
}

void Embedding::run(const Invocation& invocation) const noexcept {
  const TensorView& indices = invocation.inputs[0];
  const Range mine = partition(indices.shape.element_count(), 1, invocation.part, invocation.parts);
  for (Index i = mine.begin; i < mine.end; ++i) {
    const Index row = std::clamp<Index>(indices.i64()[i], 0, rows_ - 1);
    kernel_(columns_, table_.as<std::int8_t>() + row * columns_, scales_.as<float>()[row],
            invocation.output.f32() + i * columns_);
  }
}

}  // namespace smidgen::ops
