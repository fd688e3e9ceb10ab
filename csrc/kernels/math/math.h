#pragma once

// exp(x) in float32 for kExpLowest <= x <= kExpHighest, the same bits everywhere: every operation
// rounds once, in this order (smidgen.functional.elementary has the same).
//
//   shifted = x * kLog2E + kRounder;   n = shifted - kRounder     x / ln(2), rounded half to even
//   r = (x - n * kLn2High) - n * kLn2Low
//   p = (((kExp4 * r + kExp3) * r + kExp2) * r + kExp1) * r + kExp0
//   exp(x) = ((p * (r * r) + r) + 1) * 2^n                        the last on the exponent's bits

namespace smidgen::kernels {

inline constexpr float kExpLowest = -0x1.5d589ep+6F;  // exp of less is not a normal number
inline constexpr float kExpHighest = 0x1.62e42ep+6F;  // exp of more is infinite
inline constexpr float kLog2E = 0x1.715476p+0F;
inline constexpr float kRounder = 0x1.8p+23F;
inline constexpr float kLn2High = 0x1.62e4p-1F;  // few digits, so that n * kLn2High is exact
inline constexpr float kLn2Low = 0x1.7f7d1cp-20F;
inline constexpr float kExp4 = 0x1.6d75e6p-10F;
inline constexpr float kExp3 = 0x1.120be6p-7F;
inline constexpr float kExp2 = 0x1.5554b8p-5F;
inline constexpr float kExp1 = 0x1.5554dcp-3F;
inline constexpr float kExp0 = 0x1p-1F;

}  // namespace smidgen::kernels
