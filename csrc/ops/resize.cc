#include "ops/resize.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/resize/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

constexpr Index kLargestSide = Index{1} << 24;  // where float32 no longer holds every place
Index floor_within(float place, Index extent) {
  return static_cast<Index>(std::min(std::floor(place), static_cast<float>(extent - 1)));
}

/// Copies the upper row's first pixels.
void copy_pixels(const kernels::BilinearRow& row) {
  for (Index i = 0; i < row.pixels; ++i) {
    std::memcpy(row.out + i * row.out_stride, row.upper + row.columns[i].first,
                static_cast<std::size_t>(row.channels));
  }
}

}  // namespace

Resize::Resize(const ResizeSettings& settings, Isa isa)
    : settings_(settings),
      interpolate_(kernels::best_variant(kernels::bilinear_variants(), isa).kernel) {
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
  return settings_.size[1] * static_cast<Index>(sizeof(kernels::BilinearColumn));
}

Resize::Place Resize::place(Index i, std::size_t axis, Index extent) const {
  const float ratio = settings_.ratio[axis];
  if (settings_.mode != ResizeMode::kBilinear) {
    const float shift = settings_.mode == ResizeMode::kNearestExact ? 0.5F : 0.0F;
    const Index at = floor_within((static_cast<float>(i) + shift) * ratio, extent);
    return {at, at, 0};
  }
  const bool align_corners = settings_.align_corners;
  float at = (static_cast<float>(i) + (align_corners ? 0.0F : 0.5F)) * ratio;
  if (!align_corners) at = std::max(at - 0.5F, 0.0F);
  const Index first = floor_within(at, extent);
  const float fraction = std::min(at - static_cast<float>(first), 1.0F);
  constexpr auto kWhole = static_cast<float>(1 << kernels::kBilinearBits);
  return {first, std::min(first + 1, extent - 1),
          static_cast<std::int32_t>(std::lrintf(fraction * kWhole))};
}

void Resize::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& out = invocation.output;
  const Index height = settings_.size[0];
  const Index width = settings_.size[1];
  auto* columns = reinterpret_cast<kernels::BilinearColumn*>(invocation.scratch);
  for (Index i = 0; i < width; ++i) {
    const Place column = place(i, 1, x.shape[3]);
    columns[i] = {column.first * x.pixel_pitch, column.second * x.pixel_pitch, column.weight};
  }
  const Range mine = partition(x.shape[0] * height, 1, invocation.part, invocation.parts);
  for (Index line = mine.begin; line < mine.end; ++line) {
    const Index image = line / height;
    const Place row = place(line % height, 0, x.shape[2]);
    const kernels::BilinearRow target{.upper = x.pixel(image, row.first, 0),
                                      .lower = x.pixel(image, row.second, 0),
                                      .weight = row.weight,
                                      .columns = columns,
                                      .pixels = width,
                                      .channels = x.shape[1],
                                      .out = out.pixel(image, line % height, 0),
                                      .out_stride = out.pixel_pitch};
    if (settings_.mode == ResizeMode::kBilinear) {
      interpolate_(target);
    } else {
      copy_pixels(target);
    }
  }
}

}  // namespace smidgen::ops
