#include "ops/conv_transpose2d.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::ops {
namespace {

constexpr Index kLargestExtent = (Index{1} << 31) - 1;

Index floor_div(Index value, Index divisor) {
  return value >= 0 ? value / divisor : -ceil_div(-value, divisor);
}

void check(const ConvTranspose2dGeometry& geometry, const WeightedLayer& layer) {
  check_window(geometry.window);
  const Index groups = geometry.groups;
  const bool is_grouped =
      groups >= 1 && geometry.in_channels % groups == 0 && geometry.out_channels % groups == 0;
  const bool is_padded = geometry.output_padding[0] >= 0 && geometry.output_padding[1] >= 0;
  if (!is_grouped || !is_padded) {
    throw ProgramError("a transposed convolution of " + std::to_string(geometry.in_channels) +
                       " to " + std::to_string(geometry.out_channels) + " channels cannot have " +
                       std::to_string(groups) + " groups or a negative padding");
  }
  check_constants(layer, geometry.out_channels,
                  geometry.in_channels / groups * geometry.window.taps());
}

/// The part of an image that a convolution without padding at some sides reads.
TensorView cropped(const TensorView& x, const Shape& shape, Index top, Index left) {
  TensorView part = x;
  part.shape = shape;
  part.data = reinterpret_cast<std::byte*>(x.pixel(0, top, left));
  return part;
}

}  // namespace

ConvTranspose2d::ConvTranspose2d(const ConvTranspose2dGeometry& geometry,
                                 const WeightedLayer& layer, Isa isa)
    : geometry_(geometry) {
  check(geometry, layer);
  for (Index row = 0; row < geometry.window.stride[0]; ++row) {
    for (Index column = 0; column < geometry.window.stride[1]; ++column) {
      phases_.push_back(phase_of(row, column, layer, isa));
    }
  }
  const std::vector<float> multipliers = requantize_multipliers(layer);
  const kernels::OutputRange range = output_range(layer.output, layer.clamp);
  for (std::size_t out = 0; out < multipliers.size(); ++out) {
    const float scaled = static_cast<float>(layer.bias[out]) * multipliers[out];
    bias_.push_back(kernels::round_and_clamp(scaled, range));
  }
}

ConvTranspose2d::Phase ConvTranspose2d::phase_of(Index row, Index column,
                                                 const WeightedLayer& layer, Isa isa) const {
  Phase phase{axis_of(0, row), axis_of(1, column), nullptr};
  const Axis& rows = phase.rows;
  const Axis& columns = phase.columns;
  if (rows.taps.empty() || columns.taps.empty()) return phase;
  const Window window{
      .kernel = {static_cast<Index>(rows.taps.size()), static_cast<Index>(columns.taps.size())},
      .stride = {1, 1},
      .padding = {std::max(Index{0}, rows.before), std::max(Index{0}, columns.before),
                  std::max(Index{0}, rows.behind), std::max(Index{0}, columns.behind)},
      .dilation = {rows.dilation, columns.dilation}};
  const std::vector<std::int8_t> weight = phase_weight(phase, layer);
  WeightedLayer part = layer;
  part.weight = weight;
  phase.convolution = std::make_unique<Conv2d>(
      Conv2dGeometry{geometry_.in_channels, geometry_.out_channels, geometry_.groups, window}, part,
      isa);
  return phase;
}

std::vector<std::int8_t> ConvTranspose2d::phase_weight(const Phase& phase,
                                                       const WeightedLayer& layer) const {
  const Index per_group = geometry_.out_channels / geometry_.groups;
  const Index group_channels = geometry_.in_channels / geometry_.groups;
  const Window& window = geometry_.window;
  std::vector<std::int8_t> weight;
  for (Index out = 0; out < geometry_.out_channels; ++out) {
    for (Index channel = 0; channel < group_channels; ++channel) {
      const Index in = out / per_group * group_channels + channel;
      const Index first = (in * per_group + out % per_group) * window.taps();
      // The last tap reads the first pixel of a window.
      for (auto row = phase.rows.taps.rbegin(); row != phase.rows.taps.rend(); ++row) {
        for (auto column = phase.columns.taps.rbegin(); column != phase.columns.taps.rend();
             ++column) {
          const Index tap = *row * window.kernel[1] + *column;
          weight.push_back(layer.weight[static_cast<std::size_t>(first + tap)]);
        }
      }
    }
  }
  return weight;
}

Shape ConvTranspose2d::Phase::output_shape(const Shape& x, Index channels) const {
  const Index height = x[2] + rows.count_offset;
  const Index width = x[3] + columns.count_offset;
  return height < 1 || width < 1 ? Shape{} : Shape{x[0], channels, height, width};
}

Shape ConvTranspose2d::Phase::input_shape(const Shape& x) const {
  const auto left = [](Index extent, const Axis& axis) {
    return extent + std::min(Index{0}, axis.before) + std::min(Index{0}, axis.behind);
  };
  const Index height = left(x[2], rows);
  const Index width = left(x[3], columns);
  const bool is_empty = convolution == nullptr || height < 1 || width < 1;
  return is_empty ? Shape{} : Shape{x[0], x[1], height, width};
}

ConvTranspose2d::Axis ConvTranspose2d::axis_of(int axis, Index residue) const {
  const auto at = static_cast<std::size_t>(axis);
  const Window& window = geometry_.window;
  const Index stride = window.stride[at];
  const Index dilation = window.dilation[at];
  const Index before = window.padding[at];
  const Index behind = window.padding[at + 2];
  // Output y is a sum over the taps k and inputs i with y + before = i * stride + k * dilation. In
  // a phase, y + before = t * stride + residue, so that i = t - e with e as below.
  Axis found;
  std::vector<Index> shifts;
  for (Index tap = 0; tap < window.kernel[at]; ++tap) {
    if (tap * dilation % stride != residue) continue;
    found.taps.push_back(tap);
    shifts.push_back((tap * dilation - residue) / stride);
  }
  const Index least = shifts.empty() ? 0 : shifts.front();
  const Index most = shifts.empty() ? 0 : shifts.back();
  if (shifts.size() > 1) found.dilation = shifts[1] - shifts[0];
  // t runs from `begin` to n - 1 + `reach`, for an input of extent n.
  const Index begin = ceil_div(std::max(Index{0}, before - residue), stride);
  const Index reach = floor_div(
      dilation * (window.kernel[at] - 1) - behind + geometry_.output_padding[at] - residue, stride);
  found.first = begin * stride + residue - before;
  found.before = most - begin;
  found.behind = reach - least;
  found.count_offset = reach - begin;
  return found;
}

Index ConvTranspose2d::extent_of(Index extent, int axis) const {
  const auto at = static_cast<std::size_t>(axis);
  const Window& window = geometry_.window;
  const Index cut = window.padding[at] + window.padding[at + 2] - geometry_.output_padding[at];
  return saturating_sum(saturating_product(extent - 1, window.stride[at]),
                        window.dilation[at] * (window.kernel[at] - 1) + 1 - cut);
}

Shape ConvTranspose2d::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  expect_rank(x, 4);
  const Index height = extent_of(x[2], 0);
  const Index width = extent_of(x[3], 1);
  if (x[1] != geometry_.in_channels || std::min(height, width) < 1 ||
      std::max(height, width) > kLargestExtent) {
    throw TensorError("the input has shape " + x.to_string() + ", expected " +
                      std::to_string(geometry_.in_channels) + " channels and another size");
  }
  return {x[0], geometry_.out_channels, height, width};
}

Index ConvTranspose2d::work(std::span<const Shape> inputs) const {
  const Index taps = geometry_.window.taps() * geometry_.out_channels / geometry_.groups;
  return saturating_product(inputs[0].element_count(), taps);
}

Index ConvTranspose2d::scratch_bytes(std::span<const Shape> inputs) const {
  Index most = 0;
  for (const Phase& phase : phases_) {
    const Shape out = phase.output_shape(inputs[0], geometry_.out_channels);
    const Shape part = phase.input_shape(inputs[0]);
    if (out.rank() == 0 || part.rank() == 0) continue;
    most = std::max(most, phase.convolution->scratch_bytes({&part, 1}));
  }
  return most;
}

Border ConvTranspose2d::wanted_border(int index) const {
  Border wanted;
  for (const Phase& phase : phases_) {
    if (phase.convolution == nullptr) continue;
    const Border border = phase.convolution->wanted_border(index);
    wanted = {std::max(wanted.top, border.top), std::max(wanted.left, border.left),
              std::max(wanted.bottom, border.bottom), std::max(wanted.right, border.right)};
  }
  return wanted;
}

void ConvTranspose2d::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& y = invocation.output;
  const Window& window = geometry_.window;
  for (const Phase& phase : phases_) {
    TensorView target = y;
    target.shape = phase.output_shape(x.shape, geometry_.out_channels);
    if (target.shape.rank() == 0) continue;
    target.data = reinterpret_cast<std::byte*>(y.pixel(0, phase.rows.first, phase.columns.first));
    target.row_pitch = window.stride[0] * y.row_pitch;
    target.pixel_pitch = window.stride[1] * y.pixel_pitch;
    target.border = {};
    const Shape part = phase.input_shape(x.shape);
    if (part.rank() == 0) {
      write_bias(target, invocation.part, invocation.parts);
      continue;
    }
    const TensorView source = cropped(x, part, std::max(Index{0}, -phase.rows.before),
                                      std::max(Index{0}, -phase.columns.before));
    phase.convolution->run({.inputs = {&source, 1},
                            .output = target,
                            .epilogue = invocation.epilogue,
                            .scratch = invocation.scratch,
                            .part = invocation.part,
                            .parts = invocation.parts,
                            .candidate = 0});
  }
}

void ConvTranspose2d::write_bias(const TensorView& target, int part, int parts) const noexcept {
  const Shape& shape = target.shape;
  const Range mine = partition(shape[0] * shape[2], 1, part, parts);
  for (Index line = mine.begin; line < mine.end; ++line) {
    for (Index x = 0; x < shape[3]; ++x) {
      std::memcpy(target.pixel(line / shape[2], line % shape[2], x), bias_.data(), bias_.size());
    }
  }
}

}  // namespace smidgen::ops
