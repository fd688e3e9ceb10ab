#include "ops/pool.h"

#include <algorithm>
#include <limits>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/pool/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

/// The part of the window of one output pixel that lies inside the image.
kernels::PoolWindow clip(const Window& window, const TensorView& x, const TensorView& out,
                         Index pixel) {
  const Index channels = x.shape[1];
  const Index height = x.shape[2];
  const Index width = x.shape[3];
  const Index image = pixel / (out.shape[2] * out.shape[3]);
  const Index top = pixel / out.shape[3] % out.shape[2] * window.stride[0] - window.padding[0];
  const Index left = pixel % out.shape[3] * window.stride[1] - window.padding[1];
  const InsideTaps rows = inside_taps(top, window.kernel[0], window.dilation[0], height);
  const InsideTaps columns = inside_taps(left, window.kernel[1], window.dilation[1], width);
  const Index y = top + rows.first * window.dilation[0];
  const Index first = left + columns.first * window.dilation[1];
  const bool is_empty = rows.first == rows.last || columns.first == columns.last;
  return {.x = x.u8() + (is_empty ? 0 : ((image * height + y) * width + first) * channels),
          .row_stride = window.dilation[0] * width * channels,
          .column_stride = window.dilation[1] * channels,
          .rows = rows.last - rows.first,
          .columns = columns.last - columns.first,
          .channels = channels,
          .out = out.u8() + pixel * channels};
}

Range pixels_of(const Invocation& invocation) {
  const Shape& out = invocation.output.shape;
  return partition(out[0] * out[2] * out[3], 1, invocation.thread, invocation.threads);
}

}  // namespace

AveragePool2d::AveragePool2d(const AveragePoolSettings& settings, Isa isa)
    : settings_(settings),
      multiplier_(settings.input.scale / settings.output.scale),
      range_(output_range(settings.output, settings.clamp)),
      kernel_(kernels::best_variant(kernels::average_variants(), isa).kernel) {
  check_window(settings.window);
}

Window AveragePool2d::window_over(const Shape& x) const {
  return settings_.is_global ? Window{.kernel = {x[2], x[3]}} : settings_.window;
}

Shape AveragePool2d::output_shape(std::span<const Shape> inputs) const {
  expect_rank(inputs[0], 4);
  const Window window = window_over(inputs[0]);
  const std::int32_t zero_point = settings_.input.zero_point;
  if (window.taps() >
      std::numeric_limits<std::int32_t>::max() / std::max(zero_point, 255 - zero_point)) {
    throw TensorError("the input has shape " + inputs[0].to_string() + ", but the sum over " +
                      std::to_string(window.taps()) + " values may leave int32");
  }
  return windowed_shape(inputs[0], inputs[0][1], window);
}

Index AveragePool2d::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), window_over(inputs[0]).taps());
}

void AveragePool2d::run(const Invocation& invocation) const noexcept {
  const Window window = window_over(invocation.inputs[0].shape);
  const Range mine = pixels_of(invocation);
  for (Index pixel = mine.begin; pixel < mine.end; ++pixel) {
    const kernels::PoolWindow clipped =
        clip(window, invocation.inputs[0], invocation.output, pixel);
    const Index inside = clipped.rows * clipped.columns;
    const Index count = settings_.count_include_pad ? window.taps() : inside;
    kernel_(clipped, {.offset = static_cast<std::int32_t>(-inside * settings_.input.zero_point),
                      .multiplier = multiplier_,
                      .count = static_cast<float>(count),
                      .range = range_});
  }
}

MaxPool2d::MaxPool2d(const Window& window, Isa isa)
    : window_(window), kernel_(kernels::best_variant(kernels::maximum_variants(), isa).kernel) {
  check_window(window);
}

Shape MaxPool2d::output_shape(std::span<const Shape> inputs) const {
  expect_rank(inputs[0], 4);
  return windowed_shape(inputs[0], inputs[0][1], window_);
}

Index MaxPool2d::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), window_.taps());
}

void MaxPool2d::run(const Invocation& invocation) const noexcept {
  const Range mine = pixels_of(invocation);
  for (Index pixel = mine.begin; pixel < mine.end; ++pixel) {
    kernel_(clip(window_, invocation.inputs[0], invocation.output, pixel));
  }
}

}  // namespace smidgen::ops
