#pragma once

#include <cstdint>

#include "base/shape.h"
#include "kernels/output_range.h"

namespace smidgen::kernels {

/// The formula of gemm.h on unpacked operands, one output after the other; judges every kernel of
/// the family.
///
/// a: [m][k], rows a_stride bytes apart; w: [n][k]; bias and multipliers: [n]; out: [m][n], rows
/// out_stride bytes apart.
void qu8_qc8w_gemm_reference(Index m, Index n, Index k, const std::uint8_t* a, Index a_stride,
                             std::int32_t a_zero_point, const std::int8_t* w,
                             const std::int32_t* bias, const float* multipliers,
                             const OutputRange& range, std::uint8_t* out, Index out_stride);

}  // namespace smidgen::kernels
