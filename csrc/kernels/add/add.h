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

/// Reads and writes exactly `count` bytes of each array.
struct AddArrays {
  std::ptrdiff_t count;
  const std::uint8_t* lhs;
  const std::uint8_t* rhs;
  std::int32_t lhs_zero_point;
  std::int32_t rhs_zero_point;
  float lhs_multiplier;  // scale of lhs / scale of out
  float rhs_multiplier;
  std::uint8_t* out;
  OutputRange range;
};

using AddKernel = void (*)(const AddArrays& arrays) noexcept;

void qu8_add_portable(const AddArrays& arrays) noexcept;
void qu8_add_avx2(const AddArrays& arrays) noexcept;

}  // namespace smidgen::kernels
