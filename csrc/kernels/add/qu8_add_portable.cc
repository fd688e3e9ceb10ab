#include "kernels/add/add.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {

void qu8_add_portable(const AddArrays& arrays) noexcept {
  for (std::ptrdiff_t i = 0; i < arrays.count; ++i) {
    const float left =
        static_cast<float>(arrays.lhs[i] - arrays.lhs_zero_point) * arrays.lhs_multiplier;
    const float right =
        static_cast<float>(arrays.rhs[i] - arrays.rhs_zero_point) * arrays.rhs_multiplier;
    arrays.out[i] = round_and_clamp(left + right, arrays.range);
  }
}

}  // namespace smidgen::kernels
