#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Elementwise product of two uint8 tensors with scales of their own:
//
//   out[i] = round_and_clamp(float((lhs[i] - lhs_zero_point) * (rhs[i] - rhs_zero_point))
//                            * multiplier)
//
// The product of integers is exact in float32 too; see OutputRange.

namespace smidgen::kernels {

/// What turns two operands into their product.
struct MultiplyScales {
  std::int32_t lhs_zero_point;
  std::int32_t rhs_zero_point;
  float multiplier;  // scale of lhs * scale of rhs / scale of out
  OutputRange range;
};

/// Rows of values with strides in bytes between them; a stride of 0 takes the same row for all.
/// Exactly `rows` times `count` bytes of each array are read or written; `out` may be the same rows
/// as an operand.
struct MultiplyRows {
  std::ptrdiff_t rows;
  std::ptrdiff_t count;
  const std::uint8_t* lhs;
  std::ptrdiff_t lhs_stride;
  const std::uint8_t* rhs;
  std::ptrdiff_t rhs_stride;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;
};

using MultiplyKernel = void (*)(const MultiplyRows& rows, const MultiplyScales& scales) noexcept;

void qu8_multiply_portable(const MultiplyRows& rows, const MultiplyScales& scales) noexcept;
void qu8_multiply_avx2(const MultiplyRows& rows, const MultiplyScales& scales) noexcept;
void qu8_multiply_avx512vnni(const MultiplyRows& rows, const MultiplyScales& scales) noexcept;

}  // namespace smidgen::kernels
