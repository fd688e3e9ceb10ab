#include "ops/expand.h"

#include <utility>

#include "base/error.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {

Expand::Expand(std::vector<Index> target, DType dtype) : target_(std::move(target)), dtype_(dtype) {
  if (target_.size() > kMaxRank) {
    throw ProgramError("a shape has rank " + std::to_string(target_.size()) +
                       ", expected at most " + std::to_string(kMaxRank));
  }
}

Shape Expand::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  const int missing = static_cast<int>(target_.size()) - x.rank();
  std::vector<Index> extents = target_;
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    const int own = static_cast<int>(axis) - missing;
    if (extents[axis] == 0 && own >= 0) extents[axis] = x[own];
  }
  const Shape out{std::span<const Index>(extents)};
  static_cast<void>(out.element_count());  // refuses extents below 1
  if (missing < 0 || broadcast(x, out) != out) {
    throw TensorError("shape " + x.to_string() + " cannot be expanded to " + out.to_string());
  }
  return out;
}

Index Expand::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), 2);
}

void Expand::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& out = invocation.output;
  const Strides own = byte_strides(x, dtype_);
  Strides from{};
  const int missing = out.shape.rank() - x.shape.rank();
  for (int axis = 0; axis < x.shape.rank(); ++axis) {
    if (x.shape[axis] == 1) continue;
    from[static_cast<std::size_t>(axis + missing)] = own[static_cast<std::size_t>(axis)];
  }
  copy_strided(out.shape, size_of(dtype_), {x.data, from}, {out.data, byte_strides(out, dtype_)},
               invocation.part, invocation.parts);
}

}  // namespace smidgen::ops
