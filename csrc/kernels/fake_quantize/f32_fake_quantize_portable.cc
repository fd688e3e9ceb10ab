#include <algorithm>
#include <cmath>
#include <limits>

#include "kernels/fake_quantize/fake_quantize.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kBits = 8;  // of a byte

/// The definition, for one value: writes the float and returns the bit.
inline bool fake_quantize_one(float x, const FakeQuantizeRange& range, float& out) {
  const float above = x < range.least ? range.least : x;
  const float y = above > range.most ? range.most : above;
  const float t = y / range.scale;
  const float t_above = t > range.low ? t : range.low;
  const float bounded = t_above < range.high ? t_above : range.high;
  out = static_cast<float>(std::lrintf(bounded)) * range.scale;
  return y == x && bounded == t && x != range.blocked;
}

}  // namespace

void f32_fake_quantize_portable(std::ptrdiff_t count, const float* x,
                                const FakeQuantizeRange& range, float* out,
                                std::uint8_t* bits) noexcept {
  for (std::ptrdiff_t first = 0; first < count; first += kBits) {
    unsigned byte = 0;
    const std::ptrdiff_t end = std::min(first + kBits, count);
    for (std::ptrdiff_t i = first; i < end; ++i) {
      const bool passes = fake_quantize_one(x[i], range, out[i]);
      byte |= static_cast<unsigned>(passes) << static_cast<unsigned>(i - first);
    }
    bits[first / kBits] = static_cast<std::uint8_t>(byte);
  }
}

void f32_pass_gradient_portable(std::ptrdiff_t count, const float* gradient,
                                const std::uint8_t* bits, float* out) noexcept {
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    const bool passes = (bits[i / kBits] >> static_cast<unsigned>(i % kBits) & 1U) != 0;
    out[i] = passes ? gradient[i] : 0.0F;
  }
}

ValueRange f32_value_range_portable(std::ptrdiff_t count, const float* x) noexcept {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  ValueRange range{x[0], x[0]};
  bool has_nan = false;
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    has_nan |= std::isnan(x[i]);
    range.low = std::min(range.low, x[i]);
    range.high = std::max(range.high, x[i]);
  }
  return has_nan ? ValueRange{kNan, kNan} : range;
}

}  // namespace smidgen::kernels
