#include "ops/concat.h"

#include <array>
#include <cstring>

#include "base/error.h"
#include "base/partition.h"

namespace smidgen::ops {
namespace {

Shape with_channels(const Shape& shape, Index channels) {
  std::array<Index, kMaxRank> extents{};
  for (int axis = 0; axis < shape.rank(); ++axis) {
    extents[static_cast<std::size_t>(axis)] = axis == 1 ? channels : shape[axis];
  }
  return Shape(std::span<const Index>(extents.data(), static_cast<std::size_t>(shape.rank())));
}

void copy_row(const TensorView& from, const std::uint8_t* x, const TensorView& to,
              std::uint8_t* out) {
  const Index channels = from.shape[1];
  const Index pixels = from.shape[3];
  if (from.pixel_pitch == channels && to.pixel_pitch == channels) {
    std::memcpy(out, x, static_cast<std::size_t>(pixels * channels));
    return;
  }
  for (Index pixel = 0; pixel < pixels; ++pixel) {
    std::memcpy(out + pixel * to.pixel_pitch, x + pixel * from.pixel_pitch,
                static_cast<std::size_t>(channels));
  }
}

/// Joins tensors whose channels are innermost.
void copy_pixels(const Invocation& invocation) {
  const TensorView& out = invocation.output;
  const Index height = out.shape[2];
  const Range rows = partition(out.shape[0] * height, 1, invocation.part, invocation.parts);
  Index first_channel = 0;
  for (const TensorView& x : invocation.inputs) {
    for (Index row = rows.begin; row < rows.end; ++row) {
      copy_row(x, x.pixel(row / height, row % height, 0), out,
               out.pixel(row / height, row % height, 0) + first_channel);
    }
    first_channel += x.shape[1];
  }
}

/// Joins row-major tensors, each of them `lines` runs of axis 1 and all that lies within it.
void copy_lines(const Invocation& invocation) {
  const Shape& out = invocation.output.shape;
  const Index lines = out[0];
  const Index out_bytes = out.element_count() / lines;
  const Range mine = partition(lines, 1, invocation.part, invocation.parts);
  Index offset = 0;
  for (const TensorView& x : invocation.inputs) {
    const Index bytes = x.shape.element_count() / lines;
    for (Index line = mine.begin; line < mine.end; ++line) {
      std::memcpy(invocation.output.u8() + line * out_bytes + offset, x.u8() + line * bytes,
                  static_cast<std::size_t>(bytes));
    }
    offset += bytes;
  }
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
  if (invocation.output.shape.rank() == 4) {
    copy_pixels(invocation);
  } else {
    copy_lines(invocation);
  }
}

}  // namespace smidgen::ops
