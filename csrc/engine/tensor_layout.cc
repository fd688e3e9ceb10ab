#include "engine/tensor_layout.h"

#include <algorithm>
#include <cstring>

#include "base/partition.h"

namespace smidgen::engine {

bool has_pixels(const Shape& shape, DType dtype) {
  return dtype == DType::kUInt8 && shape.rank() == 4;
}

TensorLayout lay_out(const Shape& shape, DType dtype, const ops::Border& border) {
  if (!has_pixels(shape, dtype)) {
    return {.bytes = saturating_product(shape.element_count(), size_of(dtype))};
  }
  const Index channels = shape[1];
  TensorLayout layout{.pixel_pitch = channels, .border = border};
  layout.row_pitch = saturating_product(shape[3] + std::max(border.left, border.right), channels);
  layout.image_pitch =
      saturating_product(shape[2] + std::max(border.top, border.bottom), layout.row_pitch);
  layout.origin = saturating_sum(saturating_product(border.top, layout.row_pitch),
                                 saturating_product(border.left, channels));
  // Up to the last pixel right of the last row below the last image.
  layout.bytes =
      saturating_sum(layout.origin, saturating_product(shape[0] - 1, layout.image_pitch));
  layout.bytes = saturating_sum(layout.bytes,
                                saturating_product(shape[2] - 1 + border.bottom, layout.row_pitch));
  layout.bytes =
      saturating_sum(layout.bytes, saturating_product(shape[3] + border.right, channels));
  return layout;
}

ops::TensorView view_of(const TensorLayout& layout, const Shape& shape, std::byte* block) {
  return {.shape = shape,
          .data = block + layout.origin,
          .pixel_pitch = layout.pixel_pitch,
          .row_pitch = layout.row_pitch,
          .image_pitch = layout.image_pitch,
          .border = layout.border};
}

void fill_border(const ops::TensorView& tensor, std::uint8_t value, int part, int parts) noexcept {
  const Shape& shape = tensor.shape;
  const ops::Border& border = tensor.border;
  const Index row_bytes = shape[3] * tensor.pixel_pitch;
  const auto fill = [&](std::uint8_t* begin, const std::uint8_t* end) {
    std::memset(begin, value, static_cast<std::size_t>(end - begin));
  };
  if (part == 0) fill(tensor.pixel(0, -border.top, -border.left), tensor.u8());
  const Range rows = partition(shape[0] * shape[2], 1, part, parts);
  for (Index row = rows.begin; row < rows.end; ++row) {
    const Index image = row / shape[2];
    const Index y = row % shape[2];
    std::uint8_t* const end_of_row = tensor.pixel(image, y, 0) + row_bytes;
    if (y + 1 < shape[2]) {
      fill(end_of_row, tensor.pixel(image, y + 1, 0));
    } else if (image + 1 < shape[0]) {
      fill(end_of_row, tensor.pixel(image + 1, 0, 0));
    } else {
      fill(end_of_row, tensor.pixel(image, y + border.bottom, shape[3] + border.right));
    }
  }
}

}  // namespace smidgen::engine
