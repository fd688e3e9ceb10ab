#include "ops/slice.h"

#include <algorithm>

#include "base/error.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {
namespace {

/// A place from the front, between 0 and the extent.
Index place_in(Index extent, Index place) {
  return std::clamp(place < 0 ? place + extent : place, Index{0}, extent);
}

}  // namespace

Slice::Slice(const SliceRange& range, DType dtype) : range_(range), dtype_(dtype) {
  if (range.axis < 0 || range.axis >= kMaxRank || range.stride < 1) {
    throw ProgramError("a slice of axis " + std::to_string(range.axis) + " has stride " +
                       std::to_string(range.stride) + ", expected an axis and at least 1");
  }
}

Shape Slice::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  if (range_.axis >= x.rank()) {
    throw TensorError("the input has shape " + x.to_string() + ", which has no axis " +
                      std::to_string(range_.axis));
  }
  const Index extent = x[range_.axis];
  const Index kept = place_in(extent, range_.stop) - place_in(extent, range_.start);
  if (kept < 1) {
    throw TensorError("nothing is left of axis " + std::to_string(range_.axis) + " of " +
                      x.to_string());
  }
  return with_extent(x, range_.axis, ceil_div(kept, range_.stride));
}

Index Slice::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), 2);
}

void Slice::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& out = invocation.output;
  Strides from = byte_strides(x, dtype_);
  Index& stride = from[static_cast<std::size_t>(range_.axis)];
  std::byte* const first = x.data + place_in(x.shape[range_.axis], range_.start) * stride;
  stride *= range_.stride;
  copy_strided(out.shape, size_of(dtype_), {first, from}, {out.data, byte_strides(out, dtype_)},
               invocation.part, invocation.parts);
}

}  // namespace smidgen::ops
