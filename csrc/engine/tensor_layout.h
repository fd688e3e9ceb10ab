#pragma once

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::engine {

/// How a tensor lies in the block of memory that it owns.
///
/// Neighbours share their borders: what is right of a row is also left of the next one, and what is
/// below an image is also above the next one.
struct TensorLayout {
  Index pixel_pitch = 0;
  Index row_pitch = 0;
  Index image_pitch = 0;
  Index origin = 0;  // bytes from the start of the block to pixel (0, 0) of image 0
  Index bytes = 0;   // of the whole block, border included
  ops::Border border{};
};

/// Tells whether a tensor has pixels: uint8 of rank 4, which alone may have pitches.
bool has_pixels(const Shape& shape, DType dtype);

/// Lays a tensor out without gaps inside its rows, with a border if it has pixels. Sizes beyond
/// those that an Index holds become the largest one.
TensorLayout lay_out(const Shape& shape, DType dtype, const ops::Border& border);

/// The tensor in a block of memory.
ops::TensorView view_of(const TensorLayout& layout, const Shape& shape, std::byte* block);

/// Writes `value` to the border of a tensor whose block has this layout: part `part` of `parts`.
/// The parts together write all of it and nothing else.
void fill_border(const ops::TensorView& tensor, std::uint8_t value, int part, int parts) noexcept;

}  // namespace smidgen::engine
