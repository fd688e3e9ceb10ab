#include "ops/concat.h"

#include <array>
#include <cstring>

#include "base/error.h"
#include "base/partition.h"

namespace smidgen::ops {
namespace {

/// A tensor as `lines` runs of contiguous values of the joined axis (and of all that lies within
/// it).
Index line_bytes(const Shape& shape) {
  if (shape.rank() == 4) return shape[1];  // channels are innermost
  Index bytes = 1;
  for (int axis = 1; axis < shape.rank(); ++axis) bytes *= shape[axis];
  return bytes;
}

Shape with_channels(const Shape& shape, Index channels) {
  std::array<Index, kMaxRank> extents{};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    extents[static_cast<std::size_t>(axis)] = axis == 1 ? channels : shape[axis];
  }
  return Shape(std::span<const Index>(extents.data(), static_cast<std::size_t>(shape.rank())));
}

}  // namespace

Shape Concat::output_shape(std::span<const Shape> inputs) const {
  Index channels = 0;
  for (const Shape& shape : inputs) {
    if (shape.rank() < 2 || with_channels(shape, 1) != with_channels(inputs[0], 1)) {
      throw TensorError("the inputs have shapes " + inputs[0].to_string() + " and " +
                        shape.to_string() + ", expected equal ones but for axis 1");
    }
    channels += shape[1];
  }
  return with_channels(inputs[0], channels);
}

Index Concat::work(std::span<const Shape> inputs) const {
  return output_shape(inputs).element_count();
}

void Concat::run(const Invocation& invocation) const noexcept {
  const Shape& out = invocation.output.shape;
  const Index out_bytes = line_bytes(out);
  const Range mine =
      partition(out.element_count() / out_bytes, 1, invocation.thread, invocation.threads);
  Index offset = 0;
  for (const TensorView& input : invocation.inputs) {
    const Index bytes = line_bytes(input.shape);
    for (Index line = mine.begin; line < mine.end; ++line) {
      std::memcpy(invocation.output.u8() + line * out_bytes + offset, input.u8() + line * bytes,
                  static_cast<std::size_t>(bytes));
    }
    offset += bytes;
  }
}

}  // namespace smidgen::ops
