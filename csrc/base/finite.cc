#include "base/finite.h"

#include <algorithm>
#include <bit>
#include <cstdint>

namespace smidgen {
namespace {

constexpr std::uint32_t kExponent = 0x7f800000;  // all of these bits set: infinity or NaN
constexpr std::size_t kBlock = 4096;

bool is_finite(float value) {
  return (std::bit_cast<std::uint32_t>(value) & kExponent) != kExponent;
}

// Without a way out of the loop, which compilers make vectors of.
bool are_finite(std::span<const float> values) {
  bool found = true;
  for (const float value : values) found &= is_finite(value);
  return found;
}

}  // namespace

std::size_t first_not_finite(std::span<const float> values) noexcept {
  for (std::size_t start = 0; start < values.size(); start += kBlock) {
    const auto block = values.subspan(start, std::min(kBlock, values.size() - start));
    if (are_finite(block)) continue;
    const auto found = std::ranges::find_if_not(block, is_finite);
    return start + static_cast<std::size_t>(found - block.begin());
  }
  return values.size();
}

}  // namespace smidgen
