#include "kernels/gemm/reference.h"

#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

float sum_of_products(const GemmOperands& operands, Index i, Index j, std::int32_t zero_point) {
  std::int64_t acc = operands.bias[j];
  for (Index l = 0; l < operands.k; ++l) {
    acc += (operands.a[i * operands.a_stride + l] - zero_point) * operands.w[j * operands.k + l];
  }
  return static_cast<float>(static_cast<std::int32_t>(acc));
}

}  // namespace

void qu8_qc8w_gemm_reference(const GemmOperands& operands, const OutputRange& range,
                             std::uint8_t* out, Index out_stride) {
  for (Index i = 0; i < operands.m; ++i) {
    for (Index j = 0; j < operands.n; ++j) {
      const float acc = sum_of_products(operands, i, j, operands.a_zero_point);
      out[i * out_stride + j] = round_and_clamp(acc * operands.multipliers[j], range);
    }
  }
}

void qu8_qc8w_f32_gemm_reference(const GemmOperands& operands, float* out) {
  for (Index i = 0; i < operands.m; ++i) {
    for (Index j = 0; j < operands.n; ++j) {
      const float acc = sum_of_products(operands, i, j, operands.a_zero_point);
      *out++ = acc * operands.multipliers[j];
    }
  }
}

void qu8_qc8w_f32_gemm_of_scaled_rows_reference(const GemmOperands& operands,
                                                const RowQuantization* rows,
                                                const float* float_bias, float* out) {
  for (Index i = 0; i < operands.m; ++i) {
    for (Index j = 0; j < operands.n; ++j) {
      const float acc = sum_of_products(operands, i, j, rows[i].zero_point);
      const float scale = rows[i].scale * operands.multipliers[j];
      const float scaled = acc * scale;
      *out++ = scaled + float_bias[j];
    }
  }
}

}  // namespace smidgen::kernels
