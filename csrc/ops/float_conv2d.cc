#include "ops/float_conv2d.h"

#include <algorithm>

#include "base/partition.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

constexpr Index kPanelBytes = 128 * 1024;  // columns stay in the second-level cache

}  // namespace

FloatConv2d::FloatConv2d(const FloatConv2dGeometry& geometry, std::span<const float> weight,
                         std::span<const float> bias, Isa isa)
    : geometry_(geometry),
      weight_(weight.begin(), weight.end()),
      bias_(bias.begin(), bias.end()),
      variant_(kernels::best_variant(kernels::matmul_variants(), isa)) {
  check(geometry, weight, bias);
}

Shape FloatConv2d::output_shape(std::span<const Shape> inputs) const {
  return geometry_.output_shape(inputs[0]);
}

Index FloatConv2d::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(),
                            saturating_product(4, geometry_.depth()));
}

Index FloatConv2d::columns_at_once(Index pixels) const {
  const Index fitting = kPanelBytes / (geometry_.depth() * static_cast<Index>(sizeof(float)));
  const Index columns = std::max(variant_.nr, fitting / variant_.nr * variant_.nr);
  return std::min(columns, pixels);
}

Index FloatConv2d::scratch_bytes(std::span<const Shape> inputs) const {
  const Shape out = output_shape(inputs);
  const Index columns = columns_at_once(saturating_product(out[2], out[3]));
  return saturating_product(saturating_product(geometry_.depth(), columns), sizeof(float));
}

bool FloatConv2d::reads_in_place() const {
  constexpr std::array<Index, 2> kOne{1, 1};
  return geometry_.kernel == kOne && geometry_.stride == kOne && geometry_.stretch == kOne &&
         geometry_.padding == std::array<Index, 4>{};
}

void FloatConv2d::run(const Invocation& invocation) const noexcept {
  const Shape& x = invocation.inputs[0].shape;
  const Shape& out = invocation.output.shape;
  const Index pixels = out[2] * out[3];
  // Fewer columns at once where there would be fewer blocks than parts.
  const Index share = round_up(ceil_div(pixels, static_cast<Index>(invocation.parts)), variant_.nr);
  const Index columns = std::min(columns_at_once(pixels), share);
  const Index blocks = ceil_div(pixels, columns);
  const Index in_channels = geometry_.in_channels / geometry_.groups;
  const Index out_channels = geometry_.out_channels / geometry_.groups;
  auto* panel = reinterpret_cast<float*>(invocation.scratch);
  const Range mine =
      partition(x[0] * geometry_.groups * blocks, 1, invocation.part, invocation.parts);
  for (Index unit = mine.begin; unit < mine.end; ++unit) {
    const Index part = unit / blocks;  // image and group
    const Index first = unit % blocks * columns;
    compute({.image = invocation.inputs[0].f32() + part * in_channels * x[2] * x[3],
             .out = invocation.output.f32() + part * out_channels * pixels + first,
             .group = part % geometry_.groups,
             .first = first,
             .columns = std::min(columns, pixels - first)},
            x, out, panel);
  }
}

void FloatConv2d::compute(const Block& block, const Shape& x, const Shape& out,
                          float* panel) const noexcept {
  const Index pixels = out[2] * out[3];
  const bool is_in_place = reads_in_place();
  if (!is_in_place) gather(block, x, out[3], panel);
  const float* b = is_in_place ? block.image + block.first : panel;
  const Index b_stride = is_in_place ? pixels : block.columns;
  const Index k = geometry_.depth();
  const Index rows = geometry_.out_channels / geometry_.groups;
  const float* weight = weight_.data() + block.group * rows * k;
  const float* bias = bias_.data() + block.group * rows;
  for (Index column = 0; column < block.columns; column += variant_.nr) {
    const Index columns = std::min(variant_.nr, block.columns - column);
    for (Index row = 0; row < rows; row += variant_.mr) {
      float* tile = block.out + row * pixels + column;
      const Index count = std::min(variant_.mr, rows - row);
      variant_.kernel({.m = count,
                       .n = columns,
                       .k = k,
                       .a = weight + row * k,
                       .a_stride = k,
                       .b = b + column,
                       .b_stride = b_stride,
                       .out = tile,
                       .out_stride = pixels});
      for (Index i = 0; i < count; ++i) {
        for (Index j = 0; j < columns; ++j) tile[i * pixels + j] += bias[row + i];
      }
    }
  }
}

void FloatConv2d::gather(const Block& block, const Shape& x, Index out_width,
                         float* panel) const noexcept {
  const Index channels = geometry_.in_channels / geometry_.groups;
  float* row = panel;
  for (Index c = 0; c < channels; ++c) {
    const float* channel = block.image + c * x[2] * x[3];
    for (Index ky = 0; ky < geometry_.kernel[0]; ++ky) {
      for (Index kx = 0; kx < geometry_.kernel[1]; ++kx, row += block.columns) {
        for (Index done = 0; done < block.columns;) {
          const Index pixel = block.first + done;
          const Index left = pixel % out_width;
          const Index count = std::min(out_width - left, block.columns - done);
          gather_line(channel, x, {ky, kx}, {pixel / out_width, left},
                      {row + done, static_cast<std::size_t>(count)});
          done += count;
        }
      }
    }
  }
}

void FloatConv2d::gather_line(const float* channel, const Shape& x, std::array<Index, 2> tap,
                              std::array<Index, 2> pixel, std::span<float> out) const noexcept {
  // Where the tap of the first pixel lies in the larger image.
  std::array<Index, 2> place{};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    place[axis] = pixel[axis] * geometry_.stride[axis] + tap[axis] * geometry_.dilation[axis] -
                  geometry_.padding[axis];
  }
  std::ranges::fill(out, 0.0F);
  const Index stretch_y = geometry_.stretch[0];
  if (place[0] < 0 || place[0] % stretch_y != 0 || place[0] / stretch_y >= x[2]) return;
  const float* line = channel + place[0] / stretch_y * x[3];
  const Index stretch = geometry_.stretch[1];
  const Index stride = geometry_.stride[1];
  const auto count = static_cast<Index>(out.size());
  const Index begin = place[1] >= 0 ? 0 : ceil_div(-place[1], stride);
  const Index last = (x[3] - 1) * stretch - place[1];  // of a pixel, in pixels of the larger image
  const Index end = last < 0 ? 0 : std::min(count, last / stride + 1);
  if (stretch == 1 && stride == 1) {
    if (begin < end) std::copy(line + place[1] + begin, line + place[1] + end, out.data() + begin);
    return;
  }
  for (Index j = begin; j < end; ++j) {
    const Index there = place[1] + j * stride;
    if (there % stretch == 0) out[static_cast<std::size_t>(j)] = line[there / stretch];
  }
}

}  // namespace smidgen::ops
