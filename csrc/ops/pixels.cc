#include "ops/pixels.h"

namespace smidgen::ops {
namespace {

void look_up_channel(const std::uint8_t* pixels, const float* table, Index count,
                     Index pixel_stride, float* out, Index out_stride) noexcept {
  for (Index index = 0; index < count; ++index) {
    out[index * out_stride] = table[pixels[index * pixel_stride]];
  }
}

}  // namespace

void look_up_pixels(std::span<const std::uint8_t> pixels, std::span<const float> table,
                    Index channels, PixelLayout layout, std::span<float> out) noexcept {
  const Index count = static_cast<Index>(pixels.size()) / channels;
  const bool is_last = layout == PixelLayout::kChannelsLast;
  for (Index channel = 0; channel < channels; ++channel) {
    look_up_channel(pixels.data() + channel, table.data() + channel * kPixelValues, count, channels,
                    out.data() + (is_last ? channel : channel * count), is_last ? channels : 1);
  }
}

}  // namespace smidgen::ops
