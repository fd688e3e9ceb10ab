#include "ops/multiply.h"

#include "base/error.h"
#include "base/partition.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::ops {
namespace {

bool scales_channels(const Shape& factor, const Shape& image) {
  return factor.rank() == 4 && image.rank() == 4 && factor[0] == image[0] &&
         factor[1] == image[1] && factor[2] == 1 && factor[3] == 1;
}

}  // namespace

Multiply::Multiply(const Quantization& lhs, const Quantization& rhs, const Quantization& output,
                   const Clamp& clamp, Isa isa)
    : lhs_zero_point_(lhs.zero_point),
      rhs_zero_point_(rhs.zero_point),
      multiplier_(lhs.scale * rhs.scale / output.scale),
      range_(output_range(output, clamp)) {
  (void)isa;
}

Shape Multiply::output_shape(std::span<const Shape> inputs) const {
  if (inputs[0] == inputs[1] || scales_channels(inputs[1], inputs[0])) return inputs[0];
  if (scales_channels(inputs[0], inputs[1])) return inputs[1];
  throw TensorError("the inputs have shapes " + inputs[0].to_string() + " and " +
                    inputs[1].to_string() + ", expected equal ones, or one of them [N, C, 1, 1]");
}

Index Multiply::work(std::span<const Shape> inputs) const {
  return 4 * output_shape(inputs).element_count();
}

void Multiply::run(const Invocation& invocation) const noexcept {
  const TensorView& lhs = invocation.inputs[0];
  const TensorView& rhs = invocation.inputs[1];
  const Shape& shape = invocation.output.shape;
  // Rows of one pixel, so that the factors of a row are one row as well.
  const Index row = shape.rank() == 4 ? shape[1] : 1;
  const Index rows_per_image = shape.element_count() / (shape[0] * row);
  const auto row_of = [&](const TensorView& x, Index index) {
    return x.u8() + (x.shape == shape ? index : index / rows_per_image) * row;
  };
  const Range mine = partition(shape[0] * rows_per_image, 1, invocation.thread, invocation.threads);
  for (Index index = mine.begin; index < mine.end; ++index) {
    const std::uint8_t* left = row_of(lhs, index);
    const std::uint8_t* right = row_of(rhs, index);
    std::uint8_t* out = invocation.output.u8() + index * row;
    for (Index i = 0; i < row; ++i) {
      const std::int32_t product = (left[i] - lhs_zero_point_) * (right[i] - rhs_zero_point_);
      out[i] = kernels::round_and_clamp(static_cast<float>(product) * multiplier_, range_);
    }
  }
}

}  // namespace smidgen::ops
