#pragma once

#include <cmath>

#include "kernels/output_range.h"

namespace smidgen::kernels {

/// Tells whether |float(acc) * multiplier| is below 2^31 for every |acc| <= largest, so that
/// kernels may round before they clamp.
inline bool converts_to_int32(double largest, float multiplier) {
  constexpr double kBound = 2147483000.0;  // below 2^31 by more than the roundings to float
  return largest * std::fabs(multiplier) < kBound;
}

/// The bounds of a range as bytes.
inline ByteRange byte_range(const OutputRange& range) {
  const auto byte = [&](float bound) {
    return static_cast<std::uint8_t>(static_cast<std::int32_t>(bound) + range.zero_point);
  };
  return {static_cast<std::int16_t>(range.zero_point), byte(range.low), byte(range.high)};
}

}  // namespace smidgen::kernels
