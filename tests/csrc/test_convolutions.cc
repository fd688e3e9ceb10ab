#include <array>
#include <vector>

#include "check.h"
#include "layers.h"
#include "ops/conv2d.h"
#include "ops/conv_transpose2d.h"
#include "ops/depthwise_conv2d.h"

// Convolutions with windows of every form equal their definition at all levels.

namespace smidgen::ops {
namespace {

constexpr std::array<Index, 2> kImage = {14, 13};
constexpr std::array<std::int32_t, 5> kZeroPoints = {0, 1, 127, 128, 255};

struct Channels {
  Index in;
  Index out;
  Index groups;
};

constexpr std::array<Channels, 6> kChannels = {
    {{3, 5, 1}, {4, 17, 1}, {6, 4, 2}, {8, 8, 4}, {6, 12, 6}, {9, 9, 1}}};

/// Calls visit(window, number) for all kernels, strides and dilations along both axes, with
/// paddings that differ from side to side.
template <typename Visit>
void for_each_window(const Visit& visit) {
  constexpr std::array<Index, 4> kKernels = {1, 3, 5, 7};
  test::Random random(21);
  for (std::size_t number = 0; number < 256; ++number) {
    Window window{.kernel = {kKernels[number % 4], kKernels[number / 4 % 4]},
                  .stride = {1 + static_cast<Index>(number / 16 % 2),
                             1 + static_cast<Index>(number / 32 % 2)},
                  .dilation = {1 + static_cast<Index>(number / 64 % 2),
                               1 + static_cast<Index>(number / 128)}};
    for (Index& side : window.padding) side = random.between(0, 3);
    visit(window, number);
  }
}

/// A layer whose zero points differ from one number to the next.
Layer make_layer(const Channels& channels, const Window& window, std::size_t number,
                 test::Random& random) {
  Layer layer(channels.out, channels.in / channels.groups * window.taps(), random);
  layer.input.zero_point = kZeroPoints[number % 5];
  layer.output.zero_point = kZeroPoints[number / 5 % 5];
  layer.clamp = number % 3 == 0 ? Clamp{2, 250} : Clamp{};
  return layer;
}

/// Runs what make(level) returns, on an image with a border and on one without.
template <typename Make>
void check_convolution(const Conv2dGeometry& geometry, const Layer& layer, std::size_t number,
                       const Make& make) {
  const auto fill = static_cast<std::uint8_t>(layer.input.zero_point);
  const Index images = 1 + static_cast<Index>(number % 2);
  const Index gap = number % 3 == 0 ? 5 : 0;
  for (const Border& border : {Border{}, border_of(geometry.window)}) {
    test::Random random(22 + number);
    const Image x({images, geometry.in_channels, kImage[0], kImage[1]}, gap, border, fill);
    x.fill_with(random);
    const std::vector<std::uint8_t> expected = ConvolutionReference(x, geometry, layer).outputs();
    const Image out(windowed_shape(x.view.shape, geometry.out_channels, geometry.window), gap,
                    {0, 1, 1, 0}, test::kPoison);
    for (const Isa isa : available_isas()) {
      test::set_context(name_of(isa), "window", number, "border", border != Border{}, "padding",
                        geometry.window.padding[0], geometry.window.padding[1],
                        geometry.window.padding[2], geometry.window.padding[3]);
      const auto op = make(isa);
      run_every_way(op, x.view, out.view, {}, [&] { out.expect_values_alone(expected); });
    }
  }
}

TEST(convolutions_with_windows_of_every_form_equal_the_definition) {
  test::Random random(23);
  for_each_window([&](const Window& window, std::size_t number) {
    const Channels& channels = kChannels[number % kChannels.size()];
    const Conv2dGeometry geometry{channels.in, channels.out, channels.groups, window};
    const Layer layer = make_layer(channels, window, number, random);
    check_convolution(geometry, layer, number,
                      [&](Isa isa) { return Conv2d(geometry, layer.view(), isa); });
  });
}

// The pairs of groups of the kernel for the last columns lay across two taps of a window of even
// width, although the taps were read apart: only whether the main kernel's groups do was asked.
TEST(taps_of_even_windows_over_pixels_with_gaps_were_multiplied_with_each_others_weights) {
  test::Random random(26);
  std::size_t number = 0;  // of a window; multiples of 3 have gaps between pixels
  for (const Index width : {Index{2}, Index{3}, Index{4}}) {
    for (const Index in : {Index{4}, Index{12}, Index{16}, Index{36}}) {
      for (const Index out : {Index{1}, Index{8}, Index{17}}) {
        const Window window{.kernel = {2, width}, .padding = {0, 1, 1, 0}};
        const Conv2dGeometry geometry{in, out, 1, window};
        const Layer layer = make_layer({in, out, 1}, window, number, random);
        check_convolution(geometry, layer, number,
                          [&](Isa isa) { return Conv2d(geometry, layer.view(), isa); });
        number += 3;
      }
    }
  }
}

TEST(depthwise_convolutions_with_windows_of_every_form_equal_the_definition) {
  test::Random random(24);
  for_each_window([&](const Window& window, std::size_t number) {
    const Index channels = 1 + static_cast<Index>(number * 7 % 40);
    const Conv2dGeometry geometry{channels, channels, channels, window};
    const Layer layer = make_layer({channels, channels, channels}, window, number, random);
    check_convolution(geometry, layer, number, [&](Isa isa) {
      return DepthwiseConv2d(channels, window, layer.view(), isa);
    });
  });
}

/// Adds what each pixel of x gives to the outputs that its window covers, by the definition of
/// transposed convolution in docs/arithmetic.md.
std::vector<std::uint8_t> transposed(const Image& x, const ConvTranspose2dGeometry& geometry,
                                     const Layer& layer, const Shape& shape) {
  const Window& window = geometry.window;
  const Index in_group = geometry.in_channels / geometry.groups;
  const Index out_group = geometry.out_channels / geometry.groups;
  std::vector<std::int32_t> sums;
  for (Index pixel = 0; pixel < shape[0] * shape[2] * shape[3]; ++pixel) {
    sums.insert(sums.end(), layer.bias.begin(), layer.bias.end());
  }
  x.for_each([&](Index i, Index c, Index y, Index at) {
    const std::int32_t value = x.view.pixel(i, y, at)[c] - layer.input.zero_point;
    for (Index tap = 0; tap < window.taps(); ++tap) {
      const Index out_y =
          y * window.stride[0] - window.padding[0] + tap / window.kernel[1] * window.dilation[0];
      const Index out_x =
          at * window.stride[1] - window.padding[1] + tap % window.kernel[1] * window.dilation[1];
      if (out_y < 0 || out_y >= shape[2] || out_x < 0 || out_x >= shape[3]) continue;
      const Index pixel = ((i * shape[2] + out_y) * shape[3] + out_x) * shape[1];
      for (Index o = 0; o < out_group; ++o) {
        const Index w = (c * out_group + o) * window.taps() + tap;
        sums[static_cast<std::size_t>(pixel + c / in_group * out_group + o)] +=
            value * layer.weight[static_cast<std::size_t>(w)];
      }
    }
  });
  const std::vector<float> multipliers = requantize_multipliers(layer.view());
  std::vector<std::uint8_t> outputs;
  for (const std::int32_t sum : sums) {
    const float multiplier = multipliers[outputs.size() % multipliers.size()];
    outputs.push_back(kernels::round_and_clamp(static_cast<float>(sum) * multiplier,
                                               output_range(layer.output, layer.clamp)));
  }
  return outputs;
}

TEST(transposed_convolutions_with_windows_of_every_form_equal_the_definition) {
  test::Random random(25);
  for_each_window([&](Window window, std::size_t number) {
    if (number % 3 == 0) window.stride[1] = 3;
    const Channels& channels = kChannels[number % kChannels.size()];
    const ConvTranspose2dGeometry geometry{
        channels.in,
        channels.out,
        channels.groups,
        window,
        {static_cast<Index>(number % 2), static_cast<Index>(number / 2 % 2)}};
    const Layer layer = make_layer(channels, window, number, random);
    const auto fill = static_cast<std::uint8_t>(layer.input.zero_point);
    const Index gap = number % 2 == 0 ? 3 : 0;
    const Image x({2, channels.in, 9, 8}, gap, number % 4 < 2 ? Border{4, 4, 4, 4} : Border{},
                  fill);
    x.fill_with(random);
    const std::array<Shape, 1> shapes = {x.view.shape};
    const Shape shape =
        ConvTranspose2d(geometry, layer.view(), Isa::kPortable).output_shape(shapes);
    const Image out(shape, gap, {}, test::kPoison);
    const std::vector<std::uint8_t> expected = transposed(x, geometry, layer, shape);
    for (const Isa isa : available_isas()) {
      test::set_context(name_of(isa), "window", number);
      const ConvTranspose2d op(geometry, layer.view(), isa);
      run_every_way(op, x.view, out.view, {}, [&] { out.expect_values_alone(expected); });
    }
  });
}

}  // namespace
}  // namespace smidgen::ops
