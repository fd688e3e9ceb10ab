#include "ops/gather.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/partition.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {

Gather::Gather(int axis, DType dtype) : axis_(axis), dtype_(dtype) {
  if (axis < 0 || axis >= kMaxRank)
    throw ProgramError("gathers along axis " + std::to_string(axis));
}

Shape Gather::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  const Shape& indices = inputs[1];
  if (axis_ >= x.rank() || x.rank() - 1 + indices.rank() > kMaxRank) {
    throw TensorError("the inputs have shapes " + x.to_string() + " and " + indices.to_string() +
                      ", which cannot be gathered along axis " + std::to_string(axis_));
  }
  std::vector<Index> extents;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (axis != axis_) {
      extents.push_back(x[axis]);
      continue;
    }
    for (int i = 0; i < indices.rank(); ++i) extents.push_back(indices[i]);
  }
  return Shape(std::span<const Index>(extents));
}

Index Gather::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), 2);
}

void Gather::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& indices = invocation.inputs[1];
  const TensorView& out = invocation.output;
  const Strides from = byte_strides(x, dtype_);
  const Strides to = byte_strides(out, dtype_);
  // One slice has the input's shape with an extent of 1 at the axis.
  const Shape slice = with_extent(x.shape, axis_, 1);
  Strides slice_to{};
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    const int own = axis < axis_ ? axis : axis - 1 + indices.shape.rank();
    if (axis != axis_) slice_to[static_cast<std::size_t>(axis)] = to[static_cast<std::size_t>(own)];
  }
  const Index last = x.shape[axis_] - 1;
  const Range mine = partition(indices.shape.element_count(), 1, invocation.part, invocation.parts);
  for (Index i = mine.begin; i < mine.end; ++i) {
    Index offset = 0;
    Index rest = i;
    for (int axis = indices.shape.rank() - 1; axis >= 0; --axis) {
      offset += rest % indices.shape[axis] * to[static_cast<std::size_t>(axis_ + axis)];
      rest /= indices.shape[axis];
    }
    const Index index = std::clamp<Index>(indices.i64()[i], 0, last);
    copy_strided(slice, size_of(dtype_),
                 {x.data + index * from[static_cast<std::size_t>(axis_)], from},
                 {out.data + offset, slice_to}, 0, 1);
  }
}

}  // namespace smidgen::ops
