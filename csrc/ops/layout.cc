#include "ops/layout.h"

#include <cstring>

#include "kernels/layout/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

/// Tells whether the tensor's bytes are its logical row-major order.
bool is_logical(const TensorView& tensor, DType dtype) {
  return dtype != DType::kUInt8 || tensor.shape.rank() != 4 ||
         (tensor.is_dense() && !is_channels_last(tensor.shape, dtype));
}

/// Calls visit(pixels in memory, first logical value, pixel count) for runs of pixels at equal
/// distances, whose logical values are planes of shape[2] * shape[3] bytes.
template <typename Visit>
void for_each_run(const TensorView& tensor, const Visit& visit) {
  const Shape& shape = tensor.shape;
  const bool is_unbroken = tensor.row_pitch == shape[3] * tensor.pixel_pitch;
  const Index rows = is_unbroken ? 1 : shape[2];
  const Index pixels = is_unbroken ? shape[2] * shape[3] : shape[3];
  for (Index image = 0; image < shape[0]; ++image) {
    for (Index y = 0; y < rows; ++y) {
      visit(tensor.pixel(image, y, 0), (image * shape[1] * shape[2] + y) * shape[3], pixels);
    }
  }
}

}  // namespace

bool is_channels_last(const Shape& shape, DType dtype) {
  return dtype == DType::kUInt8 && shape.rank() == 4 && shape[1] > 1 && shape[2] * shape[3] > 1;
}

bool lie_alike(const Shape& a, const Shape& b, DType dtype) {
  if (!is_channels_last(a, dtype)) return !is_channels_last(b, dtype);
  return is_channels_last(b, dtype) && a[0] == b[0] && a[1] == b[1];
}

void to_logical(const TensorView& tensor, DType dtype, std::byte* out, Isa isa) noexcept {
  const Shape& shape = tensor.shape;
  if (is_logical(tensor, dtype)) {
    const Index bytes = shape.element_count() * size_of(dtype);
    std::memcpy(out, tensor.data, static_cast<std::size_t>(bytes));
    return;
  }
  const kernels::TransposeKernel transpose =
      kernels::best_variant(kernels::transpose_variants(), isa).kernel;
  for_each_run(tensor, [&](const std::uint8_t* pixels, Index first, Index count) {
    transpose({.rows = count,
               .columns = shape[1],
               .x = pixels,
               .x_stride = tensor.pixel_pitch,
               .out = reinterpret_cast<std::uint8_t*>(out) + first,
               .out_stride = shape[2] * shape[3]});
  });
}

void from_logical(const std::byte* x, DType dtype, const TensorView& tensor, Isa isa) noexcept {
  const Shape& shape = tensor.shape;
  if (is_logical(tensor, dtype)) {
    const Index bytes = shape.element_count() * size_of(dtype);
    std::memcpy(tensor.data, x, static_cast<std::size_t>(bytes));
    return;
  }
  const kernels::TransposeKernel transpose =
      kernels::best_variant(kernels::transpose_variants(), isa).kernel;
  for_each_run(tensor, [&](std::uint8_t* pixels, Index first, Index count) {
    transpose({.rows = shape[1],
               .columns = count,
               .x = reinterpret_cast<const std::uint8_t*>(x) + first,
               .x_stride = shape[2] * shape[3],
               .out = pixels,
               .out_stride = tensor.pixel_pitch});
  });
}

}  // namespace smidgen::ops
