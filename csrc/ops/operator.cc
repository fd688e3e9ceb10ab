#include "ops/operator.h"

#include "base/error.h"

namespace smidgen::ops {

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
