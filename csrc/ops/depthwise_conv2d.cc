#include "ops/depthwise_conv2d.h"

#include <algorithm>
#include <cstring>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

constexpr Index kBlockBytes = 128 * 1024;  // bordered rows stay in the second-level cache

kernels::PackedDepthwise pack(Index channels, const Window& window, const WeightedLayer& layer,
                              Isa isa) {
  check_window(window);
  check_constants(layer, channels, window.taps());
  return kernels::pack_depthwise(kernels::best_variant(kernels::depthwise_variants(), isa),
                                 channels, window.taps(), layer.weight, layer.bias,
                                 requantize_multipliers(layer), layer.input.zero_point);
}

}  // namespace

DepthwiseConv2d::DepthwiseConv2d(Index channels, const Window& window, const WeightedLayer& layer,
                                 Isa isa)
    : window_(window),
      zero_point_(static_cast<std::uint8_t>(layer.input.zero_point)),
      range_(output_range(layer.output, layer.clamp)),
      packed_(pack(channels, window, layer, isa)) {}

Shape DepthwiseConv2d::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  expect_rank(x, 4);
  if (x[1] != packed_.channels) {
    throw TensorError("the input has shape " + x.to_string() + ", expected " +
                      std::to_string(packed_.channels) + " channels");
  }
  return windowed_shape(x, packed_.channels, window_);
}

Index DepthwiseConv2d::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), packed_.taps);
}

Index DepthwiseConv2d::scratch_bytes(std::span<const Shape> inputs) const {
  const Index border = window_.is_padded() ? rows_for(block_rows(inputs[0])) : 0;
  return saturating_sum(offsets_bytes() + kSlack,
                        saturating_product(border, padded_row_bytes(inputs[0])));
}

Index DepthwiseConv2d::offsets_bytes() const {
  return round_up(packed_.taps * Index{sizeof(Index)}, kAlignment);
}

Index DepthwiseConv2d::padded_row_bytes(const Shape& x) const {
  return (window_.padding[1] + x[3] + window_.padding[3]) * packed_.channels;
}

Index DepthwiseConv2d::rows_for(Index out_rows) const {
  return (out_rows - 1) * window_.stride[0] + (window_.kernel[0] - 1) * window_.dilation[0] + 1;
}

Index DepthwiseConv2d::block_rows(const Shape& x) const {
  const Index fitting = kBlockBytes / padded_row_bytes(x) - rows_for(1);
  return std::max(Index{1}, fitting / window_.stride[0] + 1);
}

void DepthwiseConv2d::run(const Invocation& invocation) const noexcept {
  const Index out_height = invocation.output.shape[2];
  const Index rows = invocation.output.shape[0] * out_height;
  const Range mine = partition(rows, 1, invocation.thread, invocation.threads);
  const Index step = block_rows(invocation.inputs[0].shape);
  for (Index row = mine.begin; row < mine.end;) {
    const Index image = row / out_height;
    const Index end = std::min({row + step, mine.end, (image + 1) * out_height});
    run_rows(invocation, image, {row - image * out_height, end - image * out_height});
    row = end;
  }
}

DepthwiseConv2d::Source DepthwiseConv2d::lay_out(const TensorView& x, Index image, Range out_rows,
                                                 std::byte* scratch) const noexcept {
  const Index height = x.shape[2];
  const Index row_bytes = x.shape[3] * packed_.channels;
  const std::uint8_t* pixels = x.u8() + image * height * row_bytes;
  const Index top = out_rows.begin * window_.stride[0] - window_.padding[0];
  if (!window_.is_padded()) return {pixels + top * row_bytes, row_bytes};

  auto* bordered = reinterpret_cast<std::uint8_t*>(scratch + offsets_bytes());
  const Index bordered_bytes = padded_row_bytes(x.shape);
  const Index left_bytes = window_.padding[1] * packed_.channels;
  const Index rows = rows_for(out_rows.end - out_rows.begin);
  std::memset(bordered, zero_point_, static_cast<std::size_t>(rows * bordered_bytes));
  for (Index row = std::max(Index{0}, -top); row < rows && top + row < height; ++row) {
    std::memcpy(bordered + row * bordered_bytes + left_bytes, pixels + (top + row) * row_bytes,
                static_cast<std::size_t>(row_bytes));
  }
  return {bordered, bordered_bytes};
}

void DepthwiseConv2d::run_rows(const Invocation& invocation, Index image,
                               Range out_rows) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Shape& out = invocation.output.shape;
  const Index channels = packed_.channels;
  const Source source = lay_out(x, image, out_rows, invocation.scratch);

  auto* offsets = reinterpret_cast<Index*>(invocation.scratch);
  for (Index tap = 0; tap < packed_.taps; ++tap) {
    // Taps behind the last have weight zero and may read anything, such as the first.
    const Index real = tap < window_.taps() ? tap : 0;
    offsets[tap] = real / window_.kernel[1] * window_.dilation[0] * source.row_bytes +
                   real % window_.kernel[1] * window_.dilation[1] * channels;
  }
  for (Index row = out_rows.begin; row < out_rows.end; ++row) {
    packed_.variant->kernel(
        {.pixels = out[3],
         .channels = channels,
         .x = source.first_row + (row - out_rows.begin) * window_.stride[0] * source.row_bytes,
         .x_pixel_stride = window_.stride[1] * channels,
         .tap_offsets = offsets,
         .taps = packed_.taps,
         .weights = packed_.weights.as<std::int8_t>(),
         .bias2 = packed_.bias2.as<std::int32_t>(),
         .multipliers = packed_.multipliers.as<float>(),
         .out = invocation.output.u8() + (image * out[2] + row) * out[3] * channels,
         .out_pixel_stride = channels,
         .range = range_});
  }
}

}  // namespace smidgen::ops
