#include "ops/layout.h"

#include <cstring>

#include "kernels/layout/transpose.h"

namespace smidgen::ops {

bool is_channels_last(const Shape& shape, DType dtype) {
  return dtype == DType::kUInt8 && shape.rank() == 4 && shape[1] > 1 && shape[2] * shape[3] > 1;
}

void to_logical(const TensorView& tensor, DType dtype, std::byte* out) noexcept {
  const Shape& shape = tensor.shape;
  const Index bytes = shape.element_count() * size_of(dtype);
  if (!is_channels_last(shape, dtype)) {
    std::memcpy(out, tensor.data, static_cast<std::size_t>(bytes));
    return;
  }
  const Index pixels = shape[2] * shape[3];
  for (Index image = 0; image < shape[0]; ++image) {
    const Index start = image * shape[1] * pixels;
    kernels::u8_transpose_portable({.rows = pixels,
                                    .columns = shape[1],
                                    .x = tensor.u8() + start,
                                    .x_stride = shape[1],
                                    .out = reinterpret_cast<std::uint8_t*>(out) + start,
                                    .out_stride = pixels});
  }
}

void from_logical(const std::byte* x, DType dtype, const TensorView& tensor) noexcept {
  const Shape& shape = tensor.shape;
  const Index bytes = shape.element_count() * size_of(dtype);
  if (!is_channels_last(shape, dtype)) {
    std::memcpy(tensor.data, x, static_cast<std::size_t>(bytes));
    return;
  }
  const Index pixels = shape[2] * shape[3];
  for (Index image = 0; image < shape[0]; ++image) {
    const Index start = image * shape[1] * pixels;
    kernels::u8_transpose_portable({.rows = shape[1],
                                    .columns = pixels,
                                    .x = reinterpret_cast<const std::uint8_t*>(x) + start,
                                    .x_stride = pixels,
                                    .out = tensor.u8() + start,
                                    .out_stride = shape[1]});
  }
}

}  // namespace smidgen::ops
