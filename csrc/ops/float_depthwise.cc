#include "ops/float_depthwise.h"

#include <algorithm>

#include "base/partition.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

constexpr Index kBandBytes = 16 * 1024;  // lines stay in the first-level cache
constexpr Index kMostStride = 8;
constexpr Index kMostReach = 64;

}  // namespace

bool FloatDepthwise::fits(const FloatConv2dGeometry& geometry) {
  if (geometry.in_channels != geometry.groups) return false;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const Index reach = geometry.reach(axis);
    if (geometry.stretch[axis] != 1 || geometry.stride[axis] > kMostStride || reach > kMostReach) {
      return false;
    }
    for (const Index padding : {geometry.padding[axis], geometry.padding[axis + 2]}) {
      if (padding < 0 || padding > reach) return false;
    }
  }
  return true;
}

FloatDepthwise::FloatDepthwise(const FloatConv2dGeometry& geometry, std::span<const float> weight,
                               std::span<const float> bias, Isa isa)
    : geometry_(geometry),
      weight_(weight.begin(), weight.end()),
      bias_(bias.begin(), bias.end()),
      variant_(kernels::best_variant(kernels::float_depthwise_variants(), isa)) {
  check(geometry, weight, bias);
}

Shape FloatDepthwise::output_shape(std::span<const Shape> inputs) const {
  return geometry_.output_shape(inputs[0]);
}

Index FloatDepthwise::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), 4 * geometry_.depth());
}

bool FloatDepthwise::reads_in_place() const {
  return geometry_.stride[1] == 1 && geometry_.padding == std::array<Index, 4>{};
}

/// Lines that so many output rows read.
Index FloatDepthwise::lines(Index rows) const {
  return (rows - 1) * geometry_.stride[0] + geometry_.reach(0) + 1;
}

FloatDepthwise::Layout FloatDepthwise::layout(const Shape& x, const Shape& out) const {
  if (reads_in_place()) return {.phase = x[3], .line = x[3], .rows = out[2]};
  const Index stride = geometry_.stride[1];
  const Index phase = ceil_div((out[3] - 1) * stride + geometry_.reach(1) + 1, stride);
  const Index line = phase * stride;
  const Index fitting = kBandBytes / (line * static_cast<Index>(sizeof(float)));
  const Index rows = (fitting - geometry_.reach(0) - 1) / geometry_.stride[0] + 1;
  return {.phase = phase, .line = line, .rows = std::clamp<Index>(rows, 1, out[2])};
}

Index FloatDepthwise::scratch_bytes(std::span<const Shape> inputs) const {
  const Index offsets = geometry_.depth() * static_cast<Index>(sizeof(std::ptrdiff_t));
  if (reads_in_place()) return offsets;
  const Layout found = layout(inputs[0], output_shape(inputs));
  const Index floats = saturating_product(lines(found.rows), found.line);
  return saturating_sum(offsets, saturating_product(floats, sizeof(float)));
}

void FloatDepthwise::run(const Invocation& invocation) const noexcept {
  const Shape& x = invocation.inputs[0].shape;
  const Shape& out = invocation.output.shape;
  const Layout found = layout(x, out);
  const Index taps = geometry_.depth();
  auto* offsets = reinterpret_cast<std::ptrdiff_t*>(invocation.scratch);
  auto* scratch = reinterpret_cast<float*>(offsets + taps);
  set_offsets(found, offsets);
  const Index outs = geometry_.out_channels / geometry_.groups;  // of each input channel
  const Index bands = ceil_div(out[2], found.rows);
  const Range mine = partition(x[0] * x[1] * bands, 1, invocation.part, invocation.parts);
  for (Index unit = mine.begin; unit < mine.end; ++unit) {
    const Index plane = unit / bands;  // image and channel
    const Index first = unit % bands * found.rows;
    const Index rows = std::min(found.rows, out[2] - first);
    const float* image = invocation.inputs[0].f32() + plane * x[2] * x[3];
    const float* base = image + first * geometry_.stride[0] * x[3];
    if (!reads_in_place()) {
      lay_out(image, x, first * geometry_.stride[0] - geometry_.padding[0], lines(rows), found,
              scratch);
      base = scratch;
    }
    for (Index o = 0; o < outs; ++o) {
      const Index channel = plane % x[1] * outs + o;
      variant_.kernel(
          {.rows = rows,
           .count = out[3],
           .taps = taps,
           .x = base,
           .x_stride = geometry_.stride[0] * found.line,
           .offsets = offsets,
           .weight = weight_.data() + channel * taps,
           .bias = bias_[static_cast<std::size_t>(channel)],
           .out = invocation.output.f32() + ((plane * outs + o) * out[2] + first) * out[3],
           .out_stride = out[3]});
    }
  }
}

void FloatDepthwise::set_offsets(const Layout& layout, std::ptrdiff_t* offsets) const noexcept {
  const Index stride = geometry_.stride[1];
  for (Index ky = 0; ky < geometry_.kernel[0]; ++ky) {
    for (Index kx = 0; kx < geometry_.kernel[1]; ++kx) {
      const Index column = kx * geometry_.dilation[1];
      *offsets++ = ky * geometry_.dilation[0] * layout.line + column % stride * layout.phase +
                   column / stride;
    }
  }
}

void FloatDepthwise::lay_out(const float* image, const Shape& x, Index first_line, Index count,
                             const Layout& layout, float* lines) const noexcept {
  for (Index i = 0; i < count; ++i, lines += layout.line) {
    const Index y = first_line + i;
    if (y < 0 || y >= x[2]) {
      std::fill(lines, lines + layout.line, 0.0F);
    } else {
      lay_out_line({image + y * x[3], static_cast<std::size_t>(x[3])}, layout, lines);
    }
  }
}

void FloatDepthwise::lay_out_line(std::span<const float> line, const Layout& layout,
                                  float* out) const noexcept {
  const Index stride = geometry_.stride[1];
  const auto width = static_cast<Index>(line.size());
  for (Index remainder = 0; remainder < stride; ++remainder, out += layout.phase) {
    const Index start = remainder - geometry_.padding[1];  // column of the phase's first element
    const Index begin = std::min(start >= 0 ? 0 : ceil_div(-start, stride), layout.phase);
    const Index fitting = start >= width ? 0 : (width - 1 - start) / stride + 1;
    const Index end = std::clamp(fitting, begin, layout.phase);
    std::fill(out, out + begin, 0.0F);
    const float* columns = line.data();
    if (stride == 1 && begin < end) {
      std::copy(columns + (start + begin), columns + (start + end), out + begin);
    } else {
      for (Index j = begin; j < end; ++j) out[j] = columns[start + j * stride];
    }
    std::fill(out + end, out + layout.phase, 0.0F);
  }
}

}  // namespace smidgen::ops
