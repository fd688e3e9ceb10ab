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

}  // namespace smidgen::kernels
