#include "ops/operator.h"

#include "base/error.h"

namespace smidgen::ops {

bool TensorView::is_dense() const {
  if (shape.rank() != 4) return true;
  return pixel_pitch == shape[1] && row_pitch == shape[3] * pixel_pitch &&
         image_pitch == shape[2] * row_pitch;
}

TensorView dense_view(const Shape& shape, std::byte* data) {
  TensorView view{.shape = shape, .data = data};
  if (shape.rank() == 4) {
    view.pixel_pitch = shape[1];
    view.row_pitch = shape[3] * view.pixel_pitch;
    view.image_pitch = shape[2] * view.row_pitch;
  }
  return view;
}

kernels::OutputRange output_range(const Quantization& output, const Clamp& clamp) {
  return {static_cast<float>(clamp.qmin - output.zero_point),
          static_cast<float>(clamp.qmax - output.zero_point), output.zero_point};
}

void expect_rank(const Shape& shape, int rank) {
  if (shape.rank() != rank) {
    throw TensorError("the input has shape " + shape.to_string() + ", expected rank " +
                      std::to_string(rank));
  }
}

}  // namespace smidgen::ops
