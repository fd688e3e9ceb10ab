#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "base/aligned_buffer.h"
#include "check.h"
#include "guarded.h"
#include "kernels/round_and_clamp.h"
#include "ops/conv2d.h"
#include "ops/requantization.h"

// What tests of layers with weights share: constants, images in memory, and all ways to run them.

namespace smidgen::ops {

/// Runs all parts of an operator, for every number of threads and every candidate.
template <typename Compare>
void run_every_way(const Operator& op, const TensorView& x, const TensorView& out,
                   const Epilogue& epilogue, const Compare& compare) {
  const std::array<Shape, 1> shapes = {x.shape};
  const std::array<TensorView, 1> inputs = {x};
  test::FencedMemory memory;
  AlignedBuffer scratch = memory.buffer(op.scratch_bytes(shapes));
  for (const int parts : {1, 2, 3, 8}) {
    for (int candidate = 0; candidate < op.candidate_count(shapes, parts); ++candidate) {
      for (int part = 0; part < parts; ++part) {
        std::memset(scratch.data(), test::kPoison, static_cast<std::size_t>(scratch.size()));
        op.run({.inputs = inputs,
                .output = out,
                .epilogue = epilogue,
                .scratch = scratch.data(),
                .part = part,
                .parts = parts,
                .candidate = candidate});
      }
      compare();
    }
  }
}

struct Layer {
  std::vector<std::int8_t> weight;
  std::vector<float> weight_scale;
  std::vector<std::int32_t> bias;
  Quantization input{0.05F, 119};
  Quantization output{0.11F, 7};
  Clamp clamp{2, 250};

  Layer(Index outputs, Index k, test::Random& random)
      : weight(random.values<std::int8_t>(outputs * k, -127, 127)),
        bias(random.values<std::int32_t>(outputs, -500, 500)) {
    // So that the outputs of long sums are not all clamped.
    const float unit = 0.004F / std::sqrt(static_cast<float>(k));
    for (Index o = 0; o < outputs; ++o) {
      weight_scale.push_back(unit * static_cast<float>(random.between(5, 30)));
    }
  }

  WeightedLayer view(DType output_type = DType::kUInt8) const {
    return {weight, weight_scale, bias, input, output, clamp, output_type};
  }
};

/// A rank-4 uint8 tensor with gaps between its pixels and a border that holds `fill`. What gaps
/// hold must not matter.
struct Image {
  test::FencedMemory memory;
  AlignedBuffer buffer;
  TensorView view;

  Image(const Shape& shape, Index pixel_gap, const Border& border, std::uint8_t fill)
      : view{.shape = shape, .data = nullptr, .border = border} {
    view.pixel_pitch = shape[1] + pixel_gap;
    view.row_pitch = (border.left + shape[3] + border.right) * view.pixel_pitch;
    view.image_pitch = (border.top + shape[2] + border.bottom) * view.row_pitch;
    const Index pixels = shape[0] * view.image_pitch / view.pixel_pitch;
    buffer = memory.buffer(pixels * view.pixel_pitch - pixel_gap);
    std::memset(buffer.data(), test::kPoison, static_cast<std::size_t>(buffer.size()));
    for (Index i = 0; i < pixels; ++i) {
      std::memset(buffer.data() + i * view.pixel_pitch, fill, static_cast<std::size_t>(shape[1]));
    }
    view.data = buffer.data() + border.top * view.row_pitch + border.left * view.pixel_pitch;
  }

  /// Calls visit(image, channel, y, x).
  template <typename Visit>
  void for_each(const Visit& visit) const {
    for (Index i = 0; i < view.shape[0]; ++i) {
      for (Index y = 0; y < view.shape[2]; ++y) {
        for (Index x = 0; x < view.shape[3]; ++x) {
          for (Index c = 0; c < view.shape[1]; ++c) visit(i, c, y, x);
        }
      }
    }
  }

  void fill_with(test::Random& random) const {
    for_each([&](Index i, Index c, Index y, Index x) {
      view.pixel(i, y, x)[c] = static_cast<std::uint8_t>(random.between(0, 255));
    });
  }

  /// Compares all values with `expected`, in the order of for_each, and all else, the slack
  /// included, with the poison. Leaves poison everywhere.
  void expect_values_alone(const std::vector<std::uint8_t>& expected) const {
    std::size_t at = 0;
    for_each([&](Index i, Index c, Index y, Index x) {
      std::uint8_t& found = view.pixel(i, y, x)[c];
      CHECK_EQUAL(found, expected[at]);
      ++at;
      found = test::kPoison;
    });
    const std::byte* end = buffer.data() + buffer.size() + kSlack;
    CHECK(std::all_of(buffer.data(), end,
                      [](std::byte byte) { return byte == std::byte{test::kPoison}; }));
  }
};

/// What a convolution of the layer gives, by the definition in docs/arithmetic.md:
/// [N][OH][OW][O], the order of Image::for_each.
class ConvolutionReference {
 public:
  ConvolutionReference(const Image& x, const Conv2dGeometry& geometry, const Layer& layer)
      : x_(x), geometry_(geometry), layer_(layer) {}

  std::vector<std::uint8_t> outputs() const {
    const Shape shape = windowed_shape(x_.view.shape, geometry_.out_channels, geometry_.window);
    const std::vector<float> multipliers = requantize_multipliers(layer_.view());
    const kernels::OutputRange range = output_range(layer_.output, layer_.clamp);
    std::vector<std::uint8_t> outputs;
    for (Index i = 0; i < shape[0]; ++i) {
      for (Index y = 0; y < shape[2]; ++y) {
        for (Index x = 0; x < shape[3]; ++x) {
          for (Index o = 0; o < shape[1]; ++o) {
            const auto acc = static_cast<float>(accumulator(i, o, y, x));
            outputs.push_back(
                kernels::round_and_clamp(acc * multipliers[static_cast<std::size_t>(o)], range));
          }
        }
      }
    }
    return outputs;
  }

 private:
  std::int32_t accumulator(Index i, Index o, Index y, Index x) const {
    const Window& window = geometry_.window;
    const Index channels = geometry_.in_channels / geometry_.groups;
    const Index first = o / (geometry_.out_channels / geometry_.groups) * channels;
    std::int32_t acc = layer_.bias[static_cast<std::size_t>(o)];
    for (Index tap = 0; tap < window.taps(); ++tap) {
      const Index in_y =
          y * window.stride[0] - window.padding[0] + tap / window.kernel[1] * window.dilation[0];
      const Index in_x =
          x * window.stride[1] - window.padding[1] + tap % window.kernel[1] * window.dilation[1];
      const Shape& shape = x_.view.shape;
      if (in_y < 0 || in_y >= shape[2] || in_x < 0 || in_x >= shape[3]) continue;
      const std::uint8_t* pixel = x_.view.pixel(i, in_y, in_x) + first;
      for (Index c = 0; c < channels; ++c) {
        acc +=
            (pixel[c] - layer_.input.zero_point) * weight((o * channels + c) * window.taps() + tap);
      }
    }
    return acc;
  }

  std::int8_t weight(Index at) const { return layer_.weight[static_cast<std::size_t>(at)]; }

  const Image& x_;
  const Conv2dGeometry& geometry_;
  const Layer& layer_;
};

}  // namespace smidgen::ops
