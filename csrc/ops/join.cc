#include "ops/join.h"

#include "base/error.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {

Join::Join(int axis, DType dtype) : axis_(axis), dtype_(dtype) {
  if (axis < 0 || axis >= kMaxRank) throw ProgramError("joins along axis " + std::to_string(axis));
}

Shape Join::output_shape(std::span<const Shape> inputs) const {
  Index joined = 0;
  for (const Shape& shape : inputs) {
    if (axis_ >= shape.rank() || with_extent(shape, axis_, 1) != with_extent(inputs[0], axis_, 1)) {
      throw TensorError("the inputs have shapes " + inputs[0].to_string() + " and " +
                        shape.to_string() + ", expected equal ones but for axis " +
                        std::to_string(axis_));
    }
    joined += shape[axis_];
  }
  return with_extent(inputs[0], axis_, joined);
}

Index Join::work(std::span<const Shape> inputs) const {
  return output_shape(inputs).element_count();
}

void Join::run(const Invocation& invocation) const noexcept {
  const TensorView& out = invocation.output;
  const Strides to = byte_strides(out, dtype_);
  std::byte* place = out.data;
  for (const TensorView& x : invocation.inputs) {
    copy_strided(x.shape, size_of(dtype_), {x.data, byte_strides(x, dtype_)}, {place, to},
                 invocation.part, invocation.parts);
    place += x.shape[axis_] * to[static_cast<std::size_t>(axis_)];
  }
}

}  // namespace smidgen::ops
