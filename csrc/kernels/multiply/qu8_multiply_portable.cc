#include "kernels/multiply/multiply.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {

void qu8_multiply_portable(const MultiplyRows& rows, const MultiplyScales& scales) noexcept {
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    const std::uint8_t* lhs = rows.lhs + row * rows.lhs_stride;
    const std::uint8_t* rhs = rows.rhs + row * rows.rhs_stride;
    std::uint8_t* out = rows.out + row * rows.out_stride;
    for (std::ptrdiff_t i = 0; i < rows.count; ++i) {
      const std::int32_t product =
          (lhs[i] - scales.lhs_zero_point) * (rhs[i] - scales.rhs_zero_point);
      out[i] = round_and_clamp(static_cast<float>(product) * scales.multiplier, scales.range);
    }
  }
}

}  // namespace smidgen::kernels
