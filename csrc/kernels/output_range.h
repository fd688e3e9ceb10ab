#pragma once

#include <cstdint>

namespace smidgen::kernels {

/// How a float becomes a uint8 output q: with t the scaled value,
///   q = round_half_even(min(max(t, low), high)) + zero_point,
/// where low = qmin - zero_point and high = qmax - zero_point. A NaN takes `low`.
struct OutputRange {
  float low;
  float high;
  std::int32_t zero_point;
};

/// The same bounds as bytes, for kernels that clamp after rounding:
///   q = min(max(round_half_even(t) + zero_point, low), high),
/// which is equal as long as |t| is below 2^31.
struct ByteRange {
  std::int16_t zero_point;
  std::uint8_t low;
  std::uint8_t high;
};

}  // namespace smidgen::kernels
