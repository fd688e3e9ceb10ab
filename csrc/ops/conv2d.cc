#include "ops/conv2d.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace smidgen::ops {
namespace {

constexpr Index kBlockBytes = 128 * 1024;  // gathered rows stay in the second-level cache
constexpr Index kManyRows = 1024;

/// Reorders [O][C][KH * KW] to [O][KH * KW][C], the order in which rows are gathered.
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

/// Copies bytes; may read and write up to 15 more, which the slack of tensors and scratch allows.
void copy_loosely(const std::uint8_t* x, Index bytes, std::uint8_t* out) {
  constexpr Index kStep = 16;
  constexpr Index kShort = 64;
  if (bytes > kShort) {
    std::memcpy(out, x, static_cast<std::size_t>(bytes));
    return;
  }
  // Calling memcpy would cost more than copying does.
  for (Index i = 0; i < bytes; i += kStep) std::memcpy(out + i, x + i, kStep);
}

template <typename T>
std::span<const T> slice(std::span<const T> values, Index first, Index count) {
  return values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

}  // namespace

Conv2d::Conv2d(const Conv2dGeometry& geometry, const WeightedLayer& layer, Isa isa)
    : geometry_(geometry),
      zero_point_(static_cast<std::uint8_t>(layer.input.zero_point)),
      range_(output_range(layer.output, layer.clamp)) {
  check(geometry, layer);
  const Index outs = geometry.out_channels / geometry.groups;
  const Index taps = geometry.window.taps();
  const Index k = group_channels() * taps;
  const auto weight = channels_last(layer.weight, geometry.out_channels, group_channels(), taps);
  const std::vector<float> multipliers = requantize_multipliers(layer);
  const kernels::GemmChoice choice = kernels::choose_gemm(isa, outs, kManyRows);
  for (Index group = 0; group < geometry.groups; ++group) {
    const Index first = group * outs;
    packed_.push_back(kernels::pack_gemm(
        choice, outs, k, slice(std::span<const std::int8_t>(weight), first * k, outs * k),
        slice(layer.bias, first, outs), slice(std::span<const float>(multipliers), first, outs),
        layer.input.zero_point));
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
  return saturating_product(output_shape(inputs).element_count(), packed_.front().k);
}

Index Conv2d::scratch_bytes(std::span<const Shape> inputs) const {
  (void)inputs;
  return reads_in_place() ? 0 : block_rows() * row_bytes();
}

bool Conv2d::reads_in_place() const {
  const Window& window = geometry_.window;
  return window.taps() == 1 && window.stride == std::array<Index, 2>{1, 1} && !window.is_padded();
}

Index Conv2d::block_rows() const {
  const Index mr = packed_.front().choice.main->mr;
  return std::max(mr, kBlockBytes / row_bytes() / mr * mr);
}

void Conv2d::run(const Invocation& invocation) const noexcept {
  const Shape& out = invocation.output.shape;
  const kernels::PackedGemm& packed = packed_.front();
  const Index rows = out[0] * out[2] * out[3];
  // Whichever outweighs the other is split, so that each core streams a part of it.
  const bool split_columns = packed.n > rows && packed.panels >= invocation.threads;
  const int parts = split_columns ? 1 : invocation.threads;
  const Range mine =
      partition(rows, packed.choice.main->mr, split_columns ? 0 : invocation.thread, parts);
  const Range panels = split_columns
                           ? partition(packed.panels, 1, invocation.thread, invocation.threads)
                           : Range{0, packed.panels};
  for (Index row = mine.begin; row < mine.end; row += block_rows()) {
    const Range block{row, std::min(row + block_rows(), mine.end)};
    for (Index group = 0; group < geometry_.groups; ++group) {
      run_block(invocation, group, block, panels);
    }
  }
}

void Conv2d::run_block(const Invocation& invocation, Index group, Range rows,
                       Range panels) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const kernels::PackedGemm& packed = packed_[static_cast<std::size_t>(group)];
  const Index out_channels = geometry_.out_channels;
  std::uint8_t* out = invocation.output.u8() + rows.begin * out_channels + group * packed.n;
  if (reads_in_place()) {
    const std::uint8_t* a = x.u8() + rows.begin * geometry_.in_channels + group * group_channels();
    kernels::run_packed_gemm(packed, a, geometry_.in_channels, rows.end - rows.begin, panels.begin,
                             panels.end, range_, out, out_channels);
    return;
  }
  auto* panel = reinterpret_cast<std::uint8_t*>(invocation.scratch);
  gather_rows(x, invocation.output.shape, group, rows, panel);
  kernels::run_packed_gemm(packed, panel, row_bytes(), rows.end - rows.begin, panels.begin,
                           panels.end, range_, out, out_channels);
}

void Conv2d::gather_rows(const TensorView& x, const Shape& out, Index group, Range rows,
                         std::uint8_t* panel) const noexcept {
  const Window& window = geometry_.window;
  const Index image_bytes = x.shape[2] * x.shape[3] * geometry_.in_channels;
  Index image = rows.begin / (out[2] * out[3]);
  Index out_y = rows.begin / out[3] % out[2];
  Index out_x = rows.begin % out[3];
  for (Index row = rows.begin; row < rows.end; ++row, panel += row_bytes()) {
    gather_window(x.u8() + image * image_bytes + group * group_channels(), x.shape,
                  out_y * window.stride[0] - window.padding[0],
                  out_x * window.stride[1] - window.padding[1], panel);
    if (++out_x < out[3]) continue;
    out_x = 0;
    if (++out_y < out[2]) continue;
    out_y = 0;
    ++image;
  }
}

void Conv2d::gather_window(const std::uint8_t* image, const Shape& x, Index top, Index left,
                           std::uint8_t* panel_row) const noexcept {
  const Window& window = geometry_.window;
  const Index channels = group_channels();
  const auto fill = [&](Index pixels) {
    if (pixels == 0) return;
    std::memset(panel_row, zero_point_, static_cast<std::size_t>(pixels * channels));
    panel_row += pixels * channels;
  };
  const auto copy = [&](const std::uint8_t* source, Index pixels) {
    copy_loosely(source, pixels * channels, panel_row);
    panel_row += pixels * channels;
  };
  const InsideTaps columns = inside_taps(left, window.kernel[1], window.dilation[1], x[3]);
  const bool is_contiguous = window.dilation[1] == 1 && geometry_.groups == 1;
  for (Index kh = 0; kh < window.kernel[0]; ++kh) {
    const Index y = top + kh * window.dilation[0];
    if (y < 0 || y >= x[2] || columns.first == columns.last) {
      fill(window.kernel[1]);
      continue;
    }
    const auto pixel = [&](Index kw) {
      return image + (y * x[3] + left + kw * window.dilation[1]) * geometry_.in_channels;
    };
    fill(columns.first);
    if (is_contiguous) {
      copy(pixel(columns.first), columns.last - columns.first);
    } else {
      for (Index kw = columns.first; kw < columns.last; ++kw) copy(pixel(kw), 1);
    }
    fill(window.kernel[1] - columns.last);
  }
}

}  // namespace smidgen::ops
