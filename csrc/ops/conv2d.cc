#include "ops/conv2d.h"

#include <algorithm>

#include "base/error.h"

namespace smidgen::ops {
namespace {

constexpr Index kCopyBytes = 256 * 1024;  // copied lines stay in the second-level cache
// Transformed weights that stay in a second-level cache, and do not make the net much larger.
constexpr Index kMostWinogradBytes = 1536 * 1024;

/// Rows of which tiles are made, as far as weights tell. Tiles of windows are pieces of lines, and
/// where windows are that deep, images are mostly 7 wide; others have many rows.
Index expected_rows(const kernels::GemmShape& shape) {
  constexpr Index kManyRows = 14 * 72;
  constexpr Index kDeepWindow = 4096;
  return shape.segments > 1 && shape.k() >= kDeepWindow ? 7 : kManyRows;
}

/// Weights [O][C][KH * KW] as [O][KH * KW][C], the order of the taps in memory.
class ChannelsLast {
 public:
  ChannelsLast(std::span<const std::int8_t> weight, Index outs, Index channels, Index taps)
      : weights_(weight) {
    if (taps == 1) return;
    copy_.reserve(weight.size());
    for (Index o = 0; o < outs; ++o) {
      for (Index t = 0; t < taps; ++t) {
        for (Index c = 0; c < channels; ++c) {
          copy_.push_back(weight[static_cast<std::size_t>((o * channels + c) * taps + t)]);
        }
      }
    }
    weights_ = copy_;
  }

  std::span<const std::int8_t> weights() const { return weights_; }

 private:
  std::vector<std::int8_t> copy_;
  std::span<const std::int8_t> weights_;
};

void check(const Conv2dGeometry& geometry, const WeightedLayer& layer) {
  check_window(geometry.window);
  const Index groups = geometry.groups;
  if (groups < 1 || geometry.in_channels % groups != 0 || geometry.out_channels % groups != 0) {
    throw ProgramError("a convolution of " + std::to_string(geometry.in_channels) + " to " +
                       std::to_string(geometry.out_channels) + " channels cannot have " +
                       std::to_string(groups) + " groups");
  }
  check_constants(layer, geometry.out_channels,
                  geometry.in_channels / groups * geometry.window.taps());
}

/// Taps of a line follow each other in memory unless the window has gaps or takes some channels.
kernels::GemmShape product_shape(const Conv2dGeometry& geometry) {
  const Window& window = geometry.window;
  const Index outs = geometry.out_channels / geometry.groups;
  const Index channels = geometry.in_channels / geometry.groups;
  if (window.dilation[1] == 1 && geometry.groups == 1) {
    return {outs, window.kernel[0], window.kernel[1] * channels};
  }
  return {outs, window.taps(), channels};
}

bool is_3x3_with_stride_1(const Conv2dGeometry& geometry) {
  const Window& window = geometry.window;
  return geometry.groups == 1 && window.kernel == std::array<Index, 2>{3, 3} &&
         window.stride == std::array<Index, 2>{1, 1} &&
         window.dilation == std::array<Index, 2>{1, 1};
}

/// The convolution for a level by fewer products, if that can be and its weights are few enough.
std::optional<kernels::PackedWinograd> pack_winograd(Isa level, const Conv2dGeometry& geometry,
                                                     std::span<const std::int8_t> weights) {
  const kernels::WinogradVariant* variant = kernels::winograd_for(level);
  if (variant == nullptr || !is_3x3_with_stride_1(geometry)) return std::nullopt;
  const Index bytes =
      kernels::winograd_bytes(*variant, geometry.in_channels, geometry.out_channels);
  if (bytes > kMostWinogradBytes) return std::nullopt;
  return kernels::pack_winograd(*variant, geometry.in_channels, weights);
}

/// Bytes of the rows, borders included, and of what is made of them.
Index bytes_of(const kernels::GemmRows& rows) {
  const Index lines = rows.lines * rows.images;
  const auto bytes = [&](const kernels::GemmPitch& pitch) {
    return lines * (lines > 1 ? pitch.line : rows.width * pitch.row);
  };
  return bytes(rows.a_pitch) + bytes(rows.out_pitch) +
         (rows.addend == nullptr ? 0 : bytes(rows.addend_pitch));
}

}  // namespace

Conv2d::Conv2d(const Conv2dGeometry& geometry, const WeightedLayer& layer, Isa isa)
    : geometry_(geometry),
      zero_point_(static_cast<std::uint8_t>(layer.input.zero_point)),
      range_(output_range(layer.output, layer.clamp)) {
  check(geometry, layer);
  const kernels::GemmShape shape = product_shape(geometry);
  const ChannelsLast last(layer.weight, geometry.out_channels, group_channels(),
                          geometry.window.taps());
  const std::span<const std::int8_t> weight = last.weights();
  const std::vector<float> multipliers = requantize_multipliers(layer);
  const kernels::GemmColumns columns{weight, layer.bias, multipliers, layer.input.zero_point};
  const Isa level = kernels::level_for(isa, columns);
  for (Index group = 0; group < geometry.groups; ++group) {
    packed_.push_back(kernels::pack_gemm(kernels::choose_gemm(level, shape, expected_rows(shape)),
                                         shape, columns.part(group * shape.n, shape.n)));
  }
  winograd_ = pack_winograd(level, geometry, weight);
}

Shape Conv2d::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  expect_rank(x, 4);
  if (x[1] != geometry_.in_channels) {
    throw TensorError("the input has shape " + x.to_string() + ", expected " +
                      std::to_string(geometry_.in_channels) + " channels");
  }
  return windowed_shape(x, geometry_.out_channels, geometry_.window);
}

Index Conv2d::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), packed_.front().shape.k());
}

Index Conv2d::offset_bytes() const {
  return round_up(geometry_.window.taps() * static_cast<Index>(sizeof(Index)), kAlignment);
}

Index Conv2d::winograd_offset(const Shape& x, Index out_height) const {
  return round_up(offset_bytes() + copied_bytes(x, out_height, 1), kAlignment);
}

Index Conv2d::scratch_bytes(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  const Index out_height = output_shape(inputs)[2];
  const Index bytes = offset_bytes() + copied_bytes(x, out_height, kernel().value_bytes());
  if (!winograd_) return bytes;
  return std::max(bytes,
                  winograd_offset(x, out_height) + kernels::winograd_scratch_bytes(*winograd_));
}

bool Conv2d::may_use_winograd(const Shape& out) const {
  // With fewer tiles, most of the time goes to reading the weights.
  return winograd_ &&
         kernels::winograd_tile_count(out[0], out[2], out[3]) >= winograd_->variant->mr;
}

int Conv2d::candidate_count(std::span<const Shape> inputs, int parts) const {
  return ProductOrder::count(parts) + (may_use_winograd(output_shape(inputs)) ? 1 : 0);
}

std::string Conv2d::signature() const {
  std::string text =
      "conv2d " + std::to_string(geometry_.out_channels) + ' ' + std::to_string(geometry_.groups);
  const Window& window = geometry_.window;
  for (const Index extent : window.kernel) text += ' ' + std::to_string(extent);
  for (const Index extent : window.stride) text += ' ' + std::to_string(extent);
  for (const Index extent : window.padding) text += ' ' + std::to_string(extent);
  for (const Index extent : window.dilation) text += ' ' + std::to_string(extent);
  if (winograd_) text += " winograd";
  return text;
}

Border Conv2d::wanted_border(int index) const {
  (void)index;
  return kernel().value_bytes() == 1 || winograd_ ? border_of(geometry_.window) : Border{};
}

bool Conv2d::reads_in_place(const TensorView& x, const Part& part) const {
  // Whole lines of taps were packed as one segment, which may be cut between groups only.
  const bool has_segments = part.is_winograd ||
                            packed_.front().shape.segments == geometry_.window.taps() ||
                            x.pixel_pitch == geometry_.in_channels ||
                            packed_.front().may_cut_segments(geometry_.in_channels);
  return has_segments && value_bytes(part) == 1 && x.border.contains(border_of(geometry_.window));
}

Conv2d::Part Conv2d::part_of(const Invocation& invocation) const {
  const Shape& out = invocation.output.shape;
  const kernels::PackedGemm& packed = packed_.front();
  const bool may_use = may_use_winograd(out);
  const bool is_winograd = may_use && invocation.candidate == 0;
  const int order_index = invocation.candidate - (may_use && !is_winograd ? 1 : 0);
  const Index rows = out[0] * out[2] * out[3];
  ProductOrder order = ProductOrder::at(order_index, invocation.parts, packed.shape.n > rows);
  order.limit_panels(packed.panels, ceil_div(rows, packed.choice.main->mr), invocation.parts);
  if (!is_winograd && order.splits_panels) {
    const Range panels = partition(packed.panels, 1, invocation.part, invocation.parts);
    return {0, 1, panels, order, false};
  }
  return {invocation.part, invocation.parts, {0, packed.panels}, order, is_winograd};
}

void Conv2d::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Shape& out = invocation.output.shape;
  const Part part = part_of(invocation);
  if (!reads_in_place(x, part)) return run_copied(invocation, part);
  const Window& window = geometry_.window;
  compute(invocation,
          {.first_tap = x.pixel(0, -window.padding[0], -window.padding[1]),
           .image_pitch = x.image_pitch,
           .line_pitch = x.row_pitch,
           .pixel_pitch = x.pixel_pitch,
           .images = {0, out[0]},
           .out_lines = {0, out[2]}},
          part);
}

BorderedCopy Conv2d::copy_for(Range images, Range out_lines, Index value_bytes) const {
  const Window& window = geometry_.window;
  const Index span = (window.kernel[0] - 1) * window.dilation[0] + 1;
  const Index top = out_lines.begin * window.stride[0] - window.padding[0];
  const Index bottom = (out_lines.end - 1) * window.stride[0] - window.padding[0] + span;
  return {.images = images,
          .lines = {top, bottom},
          .left = window.padding[1],
          .right = window.padding[3],
          .zero_point = zero_point_,
          .value_bytes = value_bytes};
}

Index Conv2d::copied_bytes(const Shape& x, Index out_height, Index value_bytes) const {
  const Index lines = lines_at_once(x, out_height, value_bytes);
  const Index images = std::max(Index{1}, lines / out_height);
  return copy_for({0, images}, {0, std::min(lines, out_height)}, value_bytes).bytes(x);
}

Index Conv2d::lines_at_once(const Shape& x, Index out_height, Index value_bytes) const {
  const Index image_bytes = copy_for({0, 1}, {0, out_height}, value_bytes).bytes(x);
  if (image_bytes <= kCopyBytes) return std::min(x[0], kCopyBytes / image_bytes) * out_height;
  const Index first_bytes = copy_for({0, 1}, {0, 1}, value_bytes).bytes(x);
  const Index line_bytes = copy_for({0, 1}, {0, 2}, value_bytes).bytes(x) - first_bytes;
  return 1 + std::max(Index{0}, kCopyBytes - first_bytes) / line_bytes;
}

void Conv2d::run_copied(const Invocation& invocation, const Part& part) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Shape& out = invocation.output.shape;
  const Index most = lines_at_once(x.shape, out[2], value_bytes(part));
  const Range mine = partition(out[0] * out[2], 1, part.index, part.count);
  auto* copied = reinterpret_cast<std::uint8_t*>(invocation.scratch + offset_bytes());
  for (Index line = mine.begin; line < mine.end;) {
    const Index image = line / out[2];
    const Index y = line - image * out[2];
    const Index count = std::min({most, mine.end - line});
    // Whole images as long as there are some; else a part of one.
    const Index images = y == 0 ? std::max(Index{1}, count / out[2]) : 1;
    const Range out_lines{y, std::min(y + count, out[2])};
    const BorderedCopy copy = copy_for({image, image + images}, out_lines, value_bytes(part));
    copy.write(x, copied);
    compute(invocation,
            {.first_tap = copied,
             .image_pitch = copy.image_bytes(x.shape),
             .line_pitch = copy.line_bytes(x.shape),
             .pixel_pitch = copy.pixel_bytes(x.shape),
             .images = copy.images,
             .out_lines = out_lines},
            {0, 1, part.panels, part.order, part.is_winograd});
    line += images * (out_lines.end - out_lines.begin);
  }
}

Index Conv2d::set_offsets(const Source& source, Index* offsets) const {
  const Window& window = geometry_.window;
  const bool are_taps_adjacent =
      window.dilation[1] == 1 && source.pixel_pitch == group_channels() * kernel().value_bytes();
  const Index taps = are_taps_adjacent ? 1 : window.kernel[1];
  for (Index kh = 0; kh < window.kernel[0]; ++kh) {
    for (Index kw = 0; kw < taps; ++kw) {
      offsets[kh * taps + kw] = kh * window.dilation[0] * source.line_pitch +
                                kw * window.dilation[1] * source.pixel_pitch;
    }
  }
  return window.kernel[0] * taps;
}

kernels::GemmRows Conv2d::rows_of(const Invocation& invocation, const Source& source) const {
  const TensorView& y = invocation.output;
  const bool has_addend = invocation.epilogue.add != nullptr;
  const TensorView& addend = has_addend ? invocation.epilogue.addend : y;
  const Window& window = geometry_.window;
  return {
      .images = source.images.end - source.images.begin,
      .lines = source.out_lines.end - source.out_lines.begin,
      .width = y.shape[3],
      .a = source.first_tap,
      .a_pitch = {source.image_pitch, window.stride[0] * source.line_pitch,
                  window.stride[1] * source.pixel_pitch},
      .out = y.pixel(source.images.begin, source.out_lines.begin, 0),
      .out_pitch = {y.image_pitch, y.row_pitch, y.pixel_pitch},
      .addend = has_addend ? addend.pixel(source.images.begin, source.out_lines.begin, 0) : nullptr,
      .addend_pitch = {addend.image_pitch, addend.row_pitch, addend.pixel_pitch}};
}

void Conv2d::compute(const Invocation& invocation, const Source& source,
                     const Part& part) const noexcept {
  const ProductEpilogue epilogue(range_, invocation.epilogue);
  if (part.is_winograd) {
    filter(invocation, source, part, epilogue.end());
  } else {
    multiply(invocation, source, part, epilogue.end());
  }
}

void Conv2d::filter(const Invocation& invocation, const Source& source, const Part& part,
                    const kernels::GemmEnd& end) const noexcept {
  const Index offset = winograd_offset(invocation.inputs[0].shape, invocation.output.shape[2]);
  const kernels::GemmRows rows = rows_of(invocation, source);
  const Index tiles = kernels::winograd_tile_count(rows.images, rows.lines, rows.width);
  kernels::run_packed_winograd(*winograd_, packed_.front(),
                               {.rows = rows,
                                .tiles = partition(tiles, 1, part.index, part.count),
                                .end = end,
                                .scratch = invocation.scratch + offset});
}

void Conv2d::multiply(const Invocation& invocation, const Source& source, const Part& part,
                      const kernels::GemmEnd& end) const noexcept {
  const kernels::GemmRows rows = rows_of(invocation, source).joined();
  auto* offsets = reinterpret_cast<Index*>(invocation.scratch);
  kernels::GemmRun run{.rows = rows,
                       .segments = set_offsets(source, offsets),
                       .segment_offsets = offsets,
                       .strip_tiles = 0,
                       .tiles = {},
                       .panels = part.panels,
                       .end = end};
  for (Index group = 0; group < geometry_.groups; ++group) {
    const kernels::PackedGemm& packed = packed_[static_cast<std::size_t>(group)];
    run.tiles = partition(kernels::tile_count(packed, rows), 1, part.index, part.count);
    run.strip_tiles = part.order.strip_tiles(kernels::tile_count(packed, rows), bytes_of(rows));
    run.rows.a = rows.a + group * group_channels() * kernel().value_bytes();
    run.rows.out = rows.out + group * packed.shape.n;
    if (rows.addend != nullptr) run.rows.addend = rows.addend + group * packed.shape.n;
    kernels::run_packed_gemm(packed, run);
  }
}

}  // namespace smidgen::ops
