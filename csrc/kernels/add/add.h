#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Elementwise sum of two uint8 tensors with scales of their own:
//
//   out[i] = round_and_clamp(float(lhs[i] - lhs_zero_point) * lhs_multiplier
//                            + float(rhs[i] - rhs_zero_point) * rhs_multiplier)
//
// in three float operations, each rounded once; see OutputRange.

namespace smidgen::kernels {

/// What turns two operands into their sum.
struct AddScales {
  std::int32_t lhs_zero_point;
  std::int32_t rhs_zero_point;
  float lhs_multiplier;  // scale of lhs / scale of out
  float rhs_multiplier;
  OutputRange range;
};

/// Rows of values with strides in bytes between them. Exactly `rows` times `count` bytes of each
/// array are read or written; `out` may be the same rows as an operand.
struct AddRows {
  std::ptrdiff_t rows;
  std::ptrdiff_t count;
  const std::uint8_t* lhs;
  std::ptrdiff_t lhs_stride;
  const std::uint8_t* rhs;
  std::ptrdiff_t rhs_stride;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;
};

using AddKernel = void (*)(const AddRows& rows, const AddScales& scales) noexcept;

void qu8_add_portable(const AddRows& rows, const AddScales& scales) noexcept;
void qu8_add_avx2(const AddRows& rows, const AddScales& scales) noexcept;
void qu8_add_avx512vnni(const AddRows& rows, const AddScales& scales) noexcept;

}  // namespace smidgen::kernels
