#pragma once

#include <cstdint>
#include <span>

#include "base/shape.h"

namespace smidgen::ops {

/// Values that a pixel of one channel may have.
inline constexpr Index kPixelValues = 256;

/// How the samples that are made of pixels lie in memory.
enum class PixelLayout {
  kChannelsLast,   // [height, width, channels], as pixels do
  kChannelsFirst,  // [channels, height, width]
};

/// Writes for each pixel what the table says.
///
/// `pixels` is [count, channels], `table` [channels, kPixelValues], and `out` has as many values as
/// `pixels`; channels is at least 1.
void look_up_pixels(std::span<const std::uint8_t> pixels, std::span<const float> table,
                    Index channels, PixelLayout layout, std::span<float> out) noexcept;

}  // namespace smidgen::ops
