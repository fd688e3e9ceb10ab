#include "ops/conv2d.h"

#include <algorithm>

#include "base/error.h"

namespace smidgen::ops {
namespace {

constexpr Index kCopyBytes = 256 * 1024;  // copied lines stay in the second-level cache
constexpr Index kManyRows = 14 * 72;

/// Reorders [O][C][KH * KW] to [O][KH * KW][C], the order of the taps in memory.
std::vector<std::int8_t> channels_last(std::span<const std::int8_t> weight, Index outs,
                                       Index channels, Index taps) {
  std::vector<std::int8_t> reordered(weight.size());
  std::size_t at = 0;
  for (Index o = 0; o < outs; ++o) {
    for (Index t = 0; t < taps; ++t) {
      for (Index c = 0; c < channels; ++c) {
        reordered[at++] = weight[static_cast<std::size_t>((o * channels + c) * taps + t)];
      }
    }
  }
  return reordered;
}

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
  const auto weight =
      channels_last(layer.weight, geometry.out_channels, group_channels(), geometry.window.taps());
  const std::vector<float> multipliers = requantize_multipliers(layer);
  const kernels::GemmColumns columns{weight, layer.bias, multipliers, layer.input.zero_point};
  const Isa level = kernels::level_for(isa, columns);
  for (Index group = 0; group < geometry.groups; ++group) {
    packed_.push_back(kernels::pack_gemm(kernels::choose_gemm(level, shape, kManyRows), shape,
                                         columns.part(group * shape.n, shape.n)));
  }
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

Index Conv2d::scratch_bytes(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  const Shape out = output_shape(inputs);
  const Index lines = lines_at_once(x, out[2]);
  const Index images = std::max(Index{1}, lines / out[2]);
  const BorderedCopy copy = copy_for({0, images}, {0, std::min(lines, out[2])});
  return offset_bytes() + copy.bytes(x);
}

int Conv2d::candidate_count(std::span<const Shape> inputs, int threads) const {
  (void)inputs;
  return ProductOrder::count(threads);
}

std::string Conv2d::signature() const {
  std::string text =
      "conv2d " + std::to_string(geometry_.out_channels) + ' ' + std::to_string(geometry_.groups);
  const Window& window = geometry_.window;
  for (const Index extent : window.kernel) text += ' ' + std::to_string(extent);
  for (const Index extent : window.stride) text += ' ' + std::to_string(extent);
  for (const Index extent : window.padding) text += ' ' + std::to_string(extent);
  for (const Index extent : window.dilation) text += ' ' + std::to_string(extent);
  return text;
}

Border Conv2d::wanted_border(int index) const {
  (void)index;
  return kernel().value_bytes() == 1 ? border_of(geometry_.window) : Border{};
}

bool Conv2d::reads_in_place(const TensorView& x) const {
  // Whole lines of taps were packed as one segment, which may be cut between groups only.
  const bool has_segments = packed_.front().shape.segments == geometry_.window.taps() ||
                            x.pixel_pitch == geometry_.in_channels ||
                            kernel().padded(geometry_.in_channels) == geometry_.in_channels;
  return has_segments && kernel().value_bytes() == 1 &&
         x.border.contains(border_of(geometry_.window));
}

void Conv2d::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Shape& out = invocation.output.shape;
  const kernels::PackedGemm& packed = packed_.front();
  const ProductOrder order = ProductOrder::at(invocation.candidate, invocation.threads,
                                              packed.shape.n > out[0] * out[2] * out[3]);
  const Part part =
      order.splits_panels && packed.panels >= invocation.threads
          ? Part{0, 1, partition(packed.panels, 1, invocation.thread, invocation.threads), order}
          : Part{invocation.thread, invocation.threads, {0, packed.panels}, order};
  if (!reads_in_place(x)) return run_copied(invocation, part);
  const Window& window = geometry_.window;
  multiply(invocation,
           {.first_tap = x.pixel(0, -window.padding[0], -window.padding[1]),
            .image_pitch = x.image_pitch,
            .line_pitch = x.row_pitch,
            .pixel_pitch = x.pixel_pitch,
            .images = {0, out[0]},
            .out_lines = {0, out[2]}},
           part);
}

BorderedCopy Conv2d::copy_for(Range images, Range out_lines) const {
  const Window& window = geometry_.window;
  const Index span = (window.kernel[0] - 1) * window.dilation[0] + 1;
  const Index top = out_lines.begin * window.stride[0] - window.padding[0];
  const Index bottom = (out_lines.end - 1) * window.stride[0] - window.padding[0] + span;
  return {.images = images,
          .lines = {top, bottom},
          .left = window.padding[1],
          .right = window.padding[3],
          .zero_point = zero_point_,
          .value_bytes = kernel().value_bytes()};
}

Index Conv2d::lines_at_once(const Shape& x, Index out_height) const {
  const Index image_bytes = copy_for({0, 1}, {0, out_height}).bytes(x);
  if (image_bytes <= kCopyBytes) return std::min(x[0], kCopyBytes / image_bytes) * out_height;
  const Index first_bytes = copy_for({0, 1}, {0, 1}).bytes(x);
  const Index line_bytes = copy_for({0, 1}, {0, 2}).bytes(x) - first_bytes;
  return 1 + std::max(Index{0}, kCopyBytes - first_bytes) / line_bytes;
}

void Conv2d::run_copied(const Invocation& invocation, const Part& part) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Shape& out = invocation.output.shape;
  const Index most = lines_at_once(x.shape, out[2]);
  const Range mine = partition(out[0] * out[2], 1, part.index, part.count);
  auto* copied = reinterpret_cast<std::uint8_t*>(invocation.scratch + offset_bytes());
  for (Index line = mine.begin; line < mine.end;) {
    const Index image = line / out[2];
    const Index y = line - image * out[2];
    const Index count = std::min({most, mine.end - line});
    // Whole images as long as there are some; else a part of one.
    const Index images = y == 0 ? std::max(Index{1}, count / out[2]) : 1;
    const Range out_lines{y, std::min(y + count, out[2])};
    const BorderedCopy copy = copy_for({image, image + images}, out_lines);
    copy.write(x, copied);
    multiply(invocation,
             {.first_tap = copied,
              .image_pitch = copy.image_bytes(x.shape),
              .line_pitch = copy.line_bytes(x.shape),
              .pixel_pitch = copy.pixel_bytes(x.shape),
              .images = copy.images,
              .out_lines = out_lines},
             {0, 1, part.panels, part.order});
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

void Conv2d::multiply(const Invocation& invocation, const Source& source,
                      const Part& part) const noexcept {
  const TensorView& y = invocation.output;
  const bool has_addend = invocation.epilogue.add != nullptr;
  const TensorView& addend = has_addend ? invocation.epilogue.addend : y;
  const Window& window = geometry_.window;
  const ProductEpilogue epilogue(range_, invocation.epilogue);
  const kernels::GemmRows rows = kernels::GemmRows{
      .images = source.images.end - source.images.begin,
      .lines = source.out_lines.end - source.out_lines.begin,
      .width = y.shape[3],
      .a = source.first_tap,
      .a_pitch = {source.image_pitch, window.stride[0] * source.line_pitch,
                  window.stride[1] * source.pixel_pitch},
      .out = y.pixel(source.images.begin, source.out_lines.begin, 0),
      .out_pitch = {y.image_pitch, y.row_pitch, y.pixel_pitch},
      .addend = has_addend ? addend.pixel(source.images.begin, source.out_lines.begin, 0) : nullptr,
      .addend_pitch = {
          addend.image_pitch, addend.row_pitch,
          addend.pixel_pitch}}.joined();
  auto* offsets = reinterpret_cast<Index*>(invocation.scratch);
  kernels::GemmRun run{.rows = rows,
                       .segments = set_offsets(source, offsets),
                       .segment_offsets = offsets,
                       .strip_tiles = 0,
                       .tiles = {},
                       .panels = part.panels,
                       .end = epilogue.end()};
  for (Index group = 0; group < geometry_.groups; ++group) {
    const kernels::PackedGemm& packed = packed_[static_cast<std::size_t>(group)];
    run.tiles = partition(kernels::tile_count(packed, rows), 1, part.index, part.count);
    run.strip_tiles = part.order.strip_tiles(kernels::tile_count(packed, rows), bytes_of(rows));
    run.rows.a = rows.a + group * group_channels() * kernel().value_bytes();
    run.rows.out = rows.out + group * packed.shape.n;
    if (has_addend) run.rows.addend = rows.addend + group * packed.shape.n;
    kernels::run_packed_gemm(packed, run);
  }
}

}  // namespace smidgen::ops
