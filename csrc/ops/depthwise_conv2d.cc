#include "ops/depthwise_conv2d.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "kernels/conversion_bound.h"
#include "kernels/select.h"
#include "ops/bordered_copy.h"
#include "ops/line_epilogue.h"

namespace smidgen::ops {
namespace {

constexpr Index kCopyBytes = 128 * 1024;  // copied lines stay in the second-level cache
constexpr Index kLinesAtOnce = 4;         // of those read in place

/// Whether to take lines for runs where pixels touch. Pixel by pixel the rest of the channels is
/// filled up, but columns of the input are interleaved once for all windows, which costs a fifth
/// less; four pixels' rests are more work to bring together than two.
bool is_better_by_line(const kernels::DepthwiseBandVariant& band, Index channels,
                       const Window& window) {
  if (window.stride[1] != 1) return false;
  const bool shares_columns = window.kernel[1] == band.kernel && window.stride[0] == 1;
  const Index whole = channels / band.block * band.block;
  const Index width = whole == channels ? 0 : kernels::rest_width(band, channels);
  const Index filled_up = whole + (4 * width == band.block ? width + width / 2 : width);
  return !shares_columns || 4 * filled_up > 5 * channels;
}

}  // namespace

DepthwiseConv2d::DepthwiseConv2d(Index channels, const Window& window, const WeightedLayer& layer,
                                 Isa isa)
    : channels_(channels),
      window_(window),
      zero_point_(static_cast<std::uint8_t>(layer.input.zero_point)),
      range_(output_range(layer.output, layer.clamp)) {
  check_window(window);
  check_constants(layer, channels, window.taps());
  const std::vector<float> multipliers = requantize_multipliers(layer);
  const auto* band = window.dilation[0] == 1
                         ? kernels::find_depthwise_band(isa, window.kernel[0], window.stride[0])
                         : nullptr;
  if (band != nullptr) {
    const kernels::DepthwiseFilters filters{
        channels,   window.kernel[0], window.kernel[1],      layer.weight,
        layer.bias, multipliers,      layer.input.zero_point};
    const kernels::ByteRange range = kernels::byte_range(range_);
    by_pixel_ = kernels::pack_depthwise_band(*band, filters, range, false);
    if (is_better_by_line(*band, channels, window)) {
      by_line_ = kernels::pack_depthwise_band(*band, filters, range, true);
    }
  }
  if (!by_pixel_) {
    by_taps_ = kernels::pack_depthwise(kernels::best_variant(kernels::depthwise_variants(), isa),
                                       channels, window.taps(), layer.weight, layer.bias,
                                       multipliers, layer.input.zero_point);
  }
}

Shape DepthwiseConv2d::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  expect_rank(x, 4);
  if (x[1] != channels_) {
    throw TensorError("the input has shape " + x.to_string() + ", expected " +
                      std::to_string(channels_) + " channels");
  }
  return windowed_shape(x, channels_, window_);
}

Index DepthwiseConv2d::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), window_.taps());
}

Index DepthwiseConv2d::scratch_bytes(std::span<const Shape> inputs) const {
  const Index lines =
      window_.is_padded() ? lines_covered(copied_lines_at_once(inputs[0])) : Index{0};
  return saturating_sum(taps_bytes() + kSlack,
                        saturating_product(lines, copied_line_bytes(inputs[0])));
}

Border DepthwiseConv2d::wanted_border(int index) const {
  (void)index;
  return border_of(window_);
}

bool DepthwiseConv2d::can_fuse(const Epilogue& epilogue) const {
  (void)epilogue;
  return true;
}

Index DepthwiseConv2d::taps_bytes() const {
  return by_taps_ ? round_up(by_taps_->taps * Index{sizeof(Index)}, kAlignment) : 0;
}

Index DepthwiseConv2d::copied_line_bytes(const Shape& x) const {
  return (window_.padding[1] + x[3] + window_.padding[3]) * channels_;
}

Index DepthwiseConv2d::lines_covered(Index out_lines) const {
  return (out_lines - 1) * window_.stride[0] + (window_.kernel[0] - 1) * window_.dilation[0] + 1;
}

Index DepthwiseConv2d::copied_lines_at_once(const Shape& x) const {
  const Index fitting = kCopyBytes / copied_line_bytes(x) - lines_covered(1);
  return std::max(Index{1}, fitting / window_.stride[0] + 1);
}

bool DepthwiseConv2d::reads_in_place(const TensorView& x) const {
  return x.border.contains(border_of(window_));
}

void DepthwiseConv2d::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Index out_height = invocation.output.shape[2];
  const Range mine =
      partition(invocation.output.shape[0] * out_height, 1, invocation.part, invocation.parts);
  const Index step = reads_in_place(x) ? kLinesAtOnce : copied_lines_at_once(x.shape);
  for (Index line = mine.begin; line < mine.end;) {
    const Index image = line / out_height;
    const Index end = std::min({line + step, mine.end, (image + 1) * out_height});
    run_lines(invocation, image, {line - image * out_height, end - image * out_height});
    line = end;
  }
}

void DepthwiseConv2d::run_lines(const Invocation& invocation, Index image,
                                Range out_lines) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& y = invocation.output;
  const Source source =
      reads_in_place(x)
          ? Source{x.pixel(image, out_lines.begin * window_.stride[0] - window_.padding[0],
                           -window_.padding[1]),
                   x.row_pitch, x.pixel_pitch}
          : copy_lines(x, image, out_lines, invocation.scratch);
  if (by_taps_) {
    run_taps(source, invocation, image, out_lines);
  } else {
    run_band(*band_for(source, y), source, y, image, out_lines);
  }
  finish_lines(invocation.epilogue, y, image, out_lines);
}

DepthwiseConv2d::Source DepthwiseConv2d::copy_lines(const TensorView& x, Index image,
                                                    Range out_lines,
                                                    std::byte* scratch) const noexcept {
  const Index top = out_lines.begin * window_.stride[0] - window_.padding[0];
  const Index count = lines_covered(out_lines.end - out_lines.begin);
  const BorderedCopy copy{.images = {image, image + 1},
                          .lines = {top, top + count},
                          .left = window_.padding[1],
                          .right = window_.padding[3],
                          .zero_point = zero_point_,
                          .value_bytes = 1};
  auto* copied = reinterpret_cast<std::uint8_t*>(scratch + taps_bytes());
  copy.write(x, copied);
  return {copied, copy.line_bytes(x.shape), channels_};
}

const kernels::PackedDepthwiseBand* DepthwiseConv2d::band_for(
    const Source& source, const TensorView& output) const noexcept {
  const bool do_pixels_touch = source.pixel_stride == channels_ && output.pixel_pitch == channels_;
  return by_line_ && do_pixels_touch ? &*by_line_ : &*by_pixel_;
}

void DepthwiseConv2d::run_band(const kernels::PackedDepthwiseBand& packed, const Source& source,
                               const TensorView& output, Index image,
                               Range out_lines) const noexcept {
  const bool is_by_line = by_line_ && &packed == &*by_line_;
  const Index width = output.shape[3];
  const Index most = packed.variant->most_lines;
  for (Index line = out_lines.begin; line < out_lines.end; line += most) {
    const Index lines = std::min(most, out_lines.end - line);
    const Index first = (line - out_lines.begin) * window_.stride[0];
    packed.variant->run({.lines = lines,
                         .runs = is_by_line ? 1 : width,
                         .run_bytes = is_by_line ? width * channels_ : channels_,
                         .x = source.first_tap + first * source.line_stride,
                         .x_lines = packed.variant->input_lines(lines),
                         .x_line_stride = source.line_stride,
                         .x_run_stride = window_.stride[1] * source.pixel_stride,
                         .columns = window_.kernel[1],
                         .column_stride = window_.dilation[1] * source.pixel_stride,
                         .blocks = packed.blocks,
                         .rests = packed.rests,
                         .weights = packed.weights.as<std::int8_t>(),
                         .bias2 = packed.bias2.as<std::int32_t>(),
                         .multipliers = packed.multipliers.as<float>(),
                         .lowerings = packed.is_raised() ? packed.lowerings.as<float>() : nullptr,
                         .out = output.pixel(image, line, 0),
                         .out_line_stride = output.row_pitch,
                         .out_run_stride = output.pixel_pitch,
                         .range = kernels::byte_range(range_)});
  }
}

void DepthwiseConv2d::run_taps(const Source& source, const Invocation& invocation, Index image,
                               Range out_lines) const noexcept {
  const TensorView& y = invocation.output;
  auto* offsets = reinterpret_cast<Index*>(invocation.scratch);
  for (Index tap = 0; tap < by_taps_->taps; ++tap) {
    // Taps behind the last have weight zero and may read anything, such as the first.
    const Index real = tap < window_.taps() ? tap : 0;
    offsets[tap] = real / window_.kernel[1] * window_.dilation[0] * source.line_stride +
                   real % window_.kernel[1] * window_.dilation[1] * source.pixel_stride;
  }
  for (Index line = out_lines.begin; line < out_lines.end; ++line) {
    const Index first = (line - out_lines.begin) * window_.stride[0];
    by_taps_->variant->kernel({.pixels = y.shape[3],
                               .channels = channels_,
                               .x = source.first_tap + first * source.line_stride,
                               .x_pixel_stride = window_.stride[1] * source.pixel_stride,
                               .tap_offsets = offsets,
                               .taps = by_taps_->taps,
                               .weights = by_taps_->weights.as<std::int8_t>(),
                               .bias2 = by_taps_->bias2.as<std::int32_t>(),
                               .multipliers = by_taps_->multipliers.as<float>(),
                               .out = y.pixel(image, line, 0),
                               .out_pixel_stride = y.pixel_pitch,
                               .range = range_});
  }
}

}  // namespace smidgen::ops
