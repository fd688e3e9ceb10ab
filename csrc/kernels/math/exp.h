#pragma once

#include <bit>
#include <cstdint>

#include "kernels/math/math.h"

namespace smidgen::kernels {

/// The definition in math.h, for references and portable kernels.
inline float exp_of_bounded(float x) {
  const float shifted = x * kLog2E + kRounder;
  const float n = shifted - kRounder;
  const float r = (x - n * kLn2High) - n * kLn2Low;
  float p = kExp4 * r + kExp3;
  p = p * r + kExp2;
  p = p * r + kExp1;
  p = p * r + kExp0;
  const float mantissa = (p * (r * r) + r) + 1.0F;
  // Of the bits of `shifted`, n is what the shift leaves.
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(mantissa) +
                              (std::bit_cast<std::uint32_t>(shifted) << 23U));
}

}  // namespace smidgen::kernels
