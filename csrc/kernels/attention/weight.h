#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/attention/attention.h"

namespace smidgen::kernels {

/// The weight of a token by how far its score is below the largest, as attention.h has it; for the
/// reference and the portable kernel.
inline std::int32_t attention_weight(float distance) {
  constexpr std::int32_t kMost = 32767;
  // False for NaN.
  const bool is_near = distance < static_cast<float>(kMost);
  const auto steps = static_cast<std::uint32_t>(
      is_near ? static_cast<std::int32_t>(std::lrintf(distance)) : kMost);
  const std::uint32_t fraction = steps * 32U & 0xFFFFU;
  std::uint32_t power = kPower2 - (fraction * kPower3 >> 16U);
  power = kPower1 - (fraction * power >> 16U);
  power = kPower0 - (fraction * power >> 16U);
  return static_cast<std::int32_t>((power * (256U >> (steps >> 11U)) + (1U << 14U)) >> 15U);
}

/// What a mask adds to a score.
inline float attention_mask_term(float mask) {
  constexpr float kLowest = -0x1.fffffep+127F;
  const float steps = mask * kScoreSteps;
  return steps > kLowest ? steps : kLowest;
}

}  // namespace smidgen::kernels
