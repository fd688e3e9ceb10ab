#include "ops/pool.h"

#include <algorithm>
#include <limits>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/partition.h"
#include "kernels/pool/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

/// Windows of one output row from `first` to `last` that have the same taps inside the image.
struct Run {
  Index first;
  Index last;
  InsideTaps columns;
};

/// Calls visit(Run) from left to right: windows at the edges one by one, those inside at once.
template <typename Visit>
void for_each_run(const Window& window, Index width, Index out_width, const Visit& visit) {
  const auto left_of = [&](Index x) { return x * window.stride[1] - window.padding[1]; };
  const auto taps_of = [&](Index x) {
    return inside_taps(left_of(x), window.kernel[1], window.dilation[1], width);
  };
  const Index span = (window.kernel[1] - 1) * window.dilation[1] + 1;
  const Index inside_begin = std::min(ceil_div(window.padding[1], window.stride[1]), out_width);
  const Index last_left = width - span + window.padding[1];
  const Index inside_end =
      last_left < 0 ? inside_begin
                    : std::clamp(last_left / window.stride[1] + 1, inside_begin, out_width);
  for (Index x = 0; x < inside_begin; ++x) visit(Run{x, x + 1, taps_of(x)});
  if (inside_begin < inside_end) visit(Run{inside_begin, inside_end, {0, window.kernel[1]}});
  for (Index x = inside_end; x < out_width; ++x) visit(Run{x, x + 1, taps_of(x)});
}

/// What one thread does: rows of output pixels, and of these some channels.
struct Share {
  Range rows;
  Range channels;
};

Share share_of(const Invocation& invocation) {
  const Shape& out = invocation.output.shape;
  const Index rows = out[0] * out[2];
  if (rows >= invocation.parts) {
    return {partition(rows, 1, invocation.part, invocation.parts), {0, out[1]}};
  }
  return {{0, rows}, partition(out[1], kAlignment, invocation.part, invocation.parts)};
}

/// Calls visit(PoolRun) for all windows of this part, clipped to the image.
template <typename Visit>
void for_each_pool_run(const Window& window, const Invocation& invocation, const Visit& visit) {
  const TensorView& x = invocation.inputs[0];
  const TensorView& out = invocation.output;
  const Share share = share_of(invocation);
  const Index channels = share.channels.end - share.channels.begin;
  if (channels == 0) return;
  for (Index row = share.rows.begin; row < share.rows.end; ++row) {
    const Index image = row / out.shape[2];
    const Index y = row % out.shape[2];
    const Index top = y * window.stride[0] - window.padding[0];
    const InsideTaps rows = inside_taps(top, window.kernel[0], window.dilation[0], x.shape[2]);
    for_each_run(window, x.shape[3], out.shape[3], [&](const Run& run) {
      const Index left = run.first * window.stride[1] - window.padding[1];
      const bool is_empty = rows.first == rows.last || run.columns.first == run.columns.last;
      const std::uint8_t* first = is_empty ? x.u8()
                                           : x.pixel(image, top + rows.first * window.dilation[0],
                                                     left + run.columns.first * window.dilation[1]);
      visit(kernels::PoolRun{.x = first + share.channels.begin,
                             .row_stride = window.dilation[0] * x.row_pitch,
                             .column_stride = window.dilation[1] * x.pixel_pitch,
                             .window_stride = window.stride[1] * x.pixel_pitch,
                             .rows = rows.last - rows.first,
                             .columns = run.columns.last - run.columns.first,
                             .windows = run.last - run.first,
                             .channels = channels,
                             .out = out.pixel(image, y, run.first) + share.channels.begin,
                             .out_stride = out.pixel_pitch});
    });
  }
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
  for_each_pool_run(window, invocation, [&](const kernels::PoolRun& run) {
    const Index inside = run.rows * run.columns;
    const Index count = settings_.count_include_pad ? window.taps() : inside;
    kernel_(run, {.offset = static_cast<std::int32_t>(-inside * settings_.input.zero_point),
                  .multiplier = multiplier_,
                  .count = static_cast<float>(count),
                  .range = range_});
  });
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
  for_each_pool_run(window_, invocation, [&](const kernels::PoolRun& run) { kernel_(run); });
}

}  // namespace smidgen::ops
