#include "ops/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/partition.h"

namespace smidgen::ops {
namespace {

constexpr Index kLargestSide = Index{1} << 24;  // where float32 no longer holds every place
constexpr int kWeightBits = 11;
constexpr std::int32_t kWhole = 1 << kWeightBits;

/// The pixels of the input around one of the output, and the weight of the second of them.
struct Place {
  Index first;
  Index second;
  std::int32_t weight;
};

Index floor_within(float place, Index extent) {
  return static_cast<Index>(std::min(std::floor(place), static_cast<float>(extent - 1)));
}

Place nearest(Index i, float ratio, Index extent, float shift) {
  const Index at = floor_within((static_cast<float>(i) + shift) * ratio, extent);
  return {at, at, 0};
}

Place between(Index i, float ratio, Index extent, bool align_corners) {
  float place = (static_cast<float>(i) + (align_corners ? 0.0F : 0.5F)) * ratio;
  if (!align_corners) place = std::max(place - 0.5F, 0.0F);
  const Index first = floor_within(place, extent);
  const float fraction = std::min(place - static_cast<float>(first), 1.0F);
  const auto weight = static_cast<std::int32_t>(std::lrintf(fraction * static_cast<float>(kWhole)));
  return {first, std::min(first + 1, extent - 1), weight};
}

void interpolate(const std::uint8_t* const pixels[4], const Place& row, const Place& column,
                 Index channels, std::uint8_t* out) {
  const std::int32_t weights[4] = {
      (kWhole - row.weight) * (kWhole - column.weight), (kWhole - row.weight) * column.weight,
      row.weight * (kWhole - column.weight), row.weight * column.weight};
  for (Index c = 0; c < channels; ++c) {
    std::int32_t total = 1 << (2 * kWeightBits - 1);
    for (int i = 0; i < 4; ++i) total += pixels[i][c] * weights[i];
    out[c] = static_cast<std::uint8_t>(total >> (2 * kWeightBits));
  }
}

}  // namespace

Resize::Resize(const ResizeSettings& settings) : settings_(settings) {
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const Index size = settings.size[axis];
    const float ratio = settings.ratio[axis];
    if (size < 1 || size >= kLargestSide || !std::isfinite(ratio) || ratio < 0.0F) {
      throw ProgramError("an image cannot be resized to " + std::to_string(size) +
                         " pixels, each of them " + std::to_string(ratio));
    }
  }
}

Shape Resize::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  expect_rank(x, 4);
  if (std::max(x[2], x[3]) >= kLargestSide) {
    throw TensorError("the input has shape " + x.to_string() + ", too large to be resized");
  }
  return {x[0], x[1], settings_.size[0], settings_.size[1]};
}

Index Resize::work(std::span<const Shape> inputs) const {
  return 4 * output_shape(inputs).element_count();
}

Index Resize::scratch_bytes(std::span<const Shape> inputs) const {
  (void)inputs;
  return settings_.size[1] * static_cast<Index>(sizeof(Place));
}

void Resize::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& y = invocation.output;
  const auto place = [&](Index i, int axis) {
    const auto at = static_cast<std::size_t>(axis);
    const Index extent = x.shape[axis + 2];
    if (settings_.mode == ResizeMode::kBilinear) {
      return between(i, settings_.ratio[at], extent, settings_.align_corners);
    }
    const float shift = settings_.mode == ResizeMode::kNearestExact ? 0.5F : 0.0F;
    return nearest(i, settings_.ratio[at], extent, shift);
  };
  const Index channels = x.shape[1];
  const Index height = settings_.size[0];
  const Index width = settings_.size[1];
  auto* columns = reinterpret_cast<Place*>(invocation.scratch);
  for (Index i = 0; i < width; ++i) columns[i] = place(i, 1);
  const Range mine = partition(x.shape[0] * height, 1, invocation.thread, invocation.threads);
  for (Index line = mine.begin; line < mine.end; ++line) {
    const Index image = line / height;
    const Place row = place(line % height, 0);
    for (Index i = 0; i < width; ++i) {
      const Place& column = columns[i];
      std::uint8_t* out = y.pixel(image, line % height, i);
      if (settings_.mode != ResizeMode::kBilinear) {
        std::memcpy(out, x.pixel(image, row.first, column.first),
                    static_cast<std::size_t>(channels));
        continue;
      }
      const std::uint8_t* const pixels[4] = {
          x.pixel(image, row.first, column.first), x.pixel(image, row.first, column.second),
          x.pixel(image, row.second, column.first), x.pixel(image, row.second, column.second)};
      interpolate(pixels, row, column, channels, out);
    }
  }
}

}  // namespace smidgen::ops
