#pragma once

#include <bit>
#include <cstdint>

#include "kernels/output_range.h"

// Sums that are floats where they stand. Between 2^23 and 2^24 the lowest bit of a float counts 1,
// so the sum `acc`, raised by the bits of 2^23, reads as the float 2^23 + acc without a conversion.
// One fused multiply-add with its multiplier m and the lowering -2^23 * m, both exact, then gives
// acc * m, rounded once as docs/arithmetic.md wants it.
//
// Other sums read as other floats: those below 0 as less than 2^23, so their product is below 0
// too; those from 2^23 on as 2^24 or more. Where the output has zero point 0 and no bounds but
// those of a byte, the first are 0 either way, and the second 255 if 2^23 * m is.

namespace smidgen::kernels {

/// The bits of 2^23.
constexpr std::int32_t kRaise = 0x4B000000;
constexpr float kRaised = 8388608.0F;

constexpr float lowering(float multiplier) { return -kRaised * multiplier; }

/// Whether outputs may be made of raised sums: zero point 0 and all bytes.
constexpr bool is_full(const ByteRange& range) {
  return range.zero_point == 0 && range.low == 0 && range.high == 255;
}

/// Tells whether raised sums of at most |largest| end as the same bytes of a full range as sums
/// that are converted, and without leaving int32 on their way.
constexpr bool may_be_raised(double largest, float multiplier) {
  constexpr double kMostBits = 0x34000000;  // raised, they are still the bits of a float
  constexpr double kBound = 2147483000.0;   // below 2^31 by more than the roundings to float
  if (multiplier < 0.0F || -lowering(multiplier) >= kBound) return false;
  if (largest < kRaised) return true;
  if (largest >= kMostBits || -lowering(multiplier) < 256.0F) return false;
  const auto highest = std::bit_cast<float>(kRaise + static_cast<std::int32_t>(largest) + 1);
  return static_cast<double>(highest) * multiplier < kBound;
}

}  // namespace smidgen::kernels
