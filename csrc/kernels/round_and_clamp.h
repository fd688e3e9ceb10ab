#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/output_range.h"

namespace smidgen::kernels {

/// The definition of OutputRange in scalar code, for references and portable kernels.
inline std::uint8_t round_and_clamp(float t, const OutputRange& range) {
  const float above = t > range.low ? t : range.low;
  const float bounded = above < range.high ? above : range.high;
  return static_cast<std::uint8_t>(std::lrintf(bounded) + range.zero_point);
}

}  // namespace smidgen::kernels
