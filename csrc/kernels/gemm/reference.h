#pragma once

#include <cstdint>

#include "base/shape.h"
#include "kernels/gemm/gemm.h"
#include "kernels/output_range.h"

namespace smidgen::kernels {

/// Operands of a product, unpacked.
struct GemmOperands {
  Index m;
  Index n;
  Index k;
  const std::uint8_t* a;  // [m][k], rows a_stride bytes apart
  Index a_stride;
  const std::int8_t* w;       // [n][k]
  const std::int32_t* bias;   // [n]
  const float* multipliers;   // [n]
  std::int32_t a_zero_point;  // not for rows that have their own
};

// The formulas of gemm.h, one output after the other; they judge every kernel of the family.

/// out: [m][n], rows out_stride bytes apart.
void qu8_qc8w_gemm_reference(const GemmOperands& operands, const OutputRange& range,
                             std::uint8_t* out, Index out_stride);

/// out: [m][n].
void qu8_qc8w_f32_gemm_reference(const GemmOperands& operands, float* out);

/// rows: [m]; float_bias: [n]; out: [m][n].
void qu8_qc8w_f32_gemm_of_scaled_rows_reference(const GemmOperands& operands,
                                                const RowQuantization* rows,
                                                const float* float_bias, float* out);

}  // namespace smidgen::kernels
