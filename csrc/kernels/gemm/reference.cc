#include "kernels/gemm/reference.h"

#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {

void qu8_qc8w_gemm_reference(Index m, Index n, Index k, const std::uint8_t* a, Index a_stride,
                             std::int32_t a_zero_point, const std::int8_t* w,
                             const std::int32_t* bias, const float* multipliers,
                             const OutputRange& range, std::uint8_t* out, Index out_stride) {
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) {
      std::int64_t acc = bias[j];
      for (Index l = 0; l < k; ++l) acc += (a[i * a_stride + l] - a_zero_point) * w[j * k + l];
      const auto wrapped = static_cast<std::int32_t>(acc);
      out[i * out_stride + j] =
          round_and_clamp(static_cast<float>(wrapped) * multipliers[j], range);
    }
  }
}

}  // namespace smidgen::kernels
