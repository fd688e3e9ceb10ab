#include "kernels/add/add.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {

void qu8_add_portable(const AddRows& rows, const AddScales& scales) noexcept {
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    const std::uint8_t* lhs = rows.lhs + row * rows.lhs_stride;
    const std::uint8_t* rhs = rows.rhs + row * rows.rhs_stride;
    std::uint8_t* out = rows.out + row * rows.out_stride;
    for (std::ptrdiff_t i = 0; i < rows.count; ++i) {
      const float left = static_cast<float>(lhs[i] - scales.lhs_zero_point) * scales.lhs_multiplier;
      const float right =
          static_cast<float>(rhs[i] - scales.rhs_zero_point) * scales.rhs_multiplier;
      out[i] = round_and_clamp(left + right, scales.range);
    }
  }
}

}  // namespace smidgen::kernels
