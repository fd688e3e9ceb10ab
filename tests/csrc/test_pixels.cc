#include <cstdint>
#include <span>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "ops/pixels.h"

namespace smidgen {
namespace {

using ops::kPixelValues;
using ops::PixelLayout;

float entry(Index channel, Index value) {
  return static_cast<float>(1000 * channel + value) + 0.5F;
}

std::vector<float> table_of(Index channels) {
  std::vector<float> table;
  for (Index channel = 0; channel < channels; ++channel) {
    for (Index value = 0; value < kPixelValues; ++value) table.push_back(entry(channel, value));
  }
  return table;
}

// All values of a pixel occur where there are enough pixels, the last ones among them.
std::vector<std::uint8_t> pixels_of(Index count) {
  std::vector<std::uint8_t> pixels;
  for (Index index = 0; index < count; ++index) {
    pixels.push_back(static_cast<std::uint8_t>(255 - index * 37));
  }
  return pixels;
}

void check_image(Index count, Index channels, PixelLayout layout, test::Fence fence) {
  const std::vector<std::uint8_t> pixels = pixels_of(count * channels);
  const test::Fenced<std::uint8_t> from(pixels, fence);
  const test::Fenced<float> table(table_of(channels), fence);
  test::Fenced<float> out(std::vector<float>(pixels.size()), fence);
  ops::look_up_pixels(std::span(from.data(), pixels.size()),
                      std::span(table.data(), static_cast<std::size_t>(channels * kPixelValues)),
                      channels, layout, std::span(out.data(), pixels.size()));
  for (Index pixel = 0; pixel < count; ++pixel) {
    for (Index channel = 0; channel < channels; ++channel) {
      const Index last = pixel * channels + channel;
      const Index at = layout == PixelLayout::kChannelsLast ? last : channel * count + pixel;
      CHECK_EQUAL(out[at], entry(channel, pixels[static_cast<std::size_t>(last)]));
    }
  }
}

TEST(pixels_become_what_the_table_says_of_their_channel) {
  for (const test::Fence fence : test::kFences) {
    for (const PixelLayout layout : {PixelLayout::kChannelsLast, PixelLayout::kChannelsFirst}) {
      for (const Index channels : {1, 2, 3, 4}) {
        for (const Index count : {0, 1, 2, 31, 32, 33, 777}) {
          check_image(count, channels, layout, fence);
        }
      }
    }
  }
}

}  // namespace
}  // namespace smidgen
