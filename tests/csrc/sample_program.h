#pragma once

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "engine/program.h"

namespace smidgen::engine {

/// Collects tensors, constants and steps.
class Builder {
 public:
  Program program;

  int tensor(DType dtype, int rank, float scale = 1.0F, int zero_point = 0) {
    program.tensors.push_back(
        {std::to_string(program.tensors.size()), dtype, rank, {scale, zero_point}});
    return static_cast<int>(program.tensors.size()) - 1;
  }

  int activation(float scale, int zero_point, int rank = 4) {
    return tensor(DType::kUInt8, rank, scale, zero_point);
  }

  template <typename T>
  int constant(DType dtype, const Shape& shape, const std::vector<T>& values) {
    auto owner = std::make_shared<const std::vector<T>>(values);
    const auto bytes = std::as_bytes(std::span<const T>(*owner));
    program.constants.push_back({dtype, shape, bytes, std::move(owner)});
    return static_cast<int>(program.constants.size()) - 1;
  }

  /// Adds layers whose constants are random.
  void add_conv(int input, int output, const Shape& weight, const ops::Window& window,
                Index groups) {
    const LayerConstants layer = layer_of(weight, weight[0]);
    program.steps.emplace_back(
        Conv2d{input, output, layer.weight, layer.scales, layer.bias, window, groups, {2, 250}});
  }

  void add_transposed_conv(int input, int output, const Shape& weight, Index stride, Index groups) {
    const LayerConstants layer = layer_of(weight, weight[1] * groups);
    program.steps.emplace_back(ConvTranspose2d{.input = input,
                                               .output = output,
                                               .weight = layer.weight,
                                               .weight_scale = layer.scales,
                                               .bias = layer.bias,
                                               .stride = {stride, stride},
                                               .padding = {1, 0, 1, 1},
                                               .output_padding = {0, 1},
                                               .dilation = {1, 1},
                                               .groups = groups,
                                               .qmin = 0,
                                               .qmax = 255});
  }

  void add_linear(int input, int output, Index features, Index outputs) {
    const LayerConstants layer = layer_of({outputs, features}, outputs);
    program.steps.emplace_back(Linear{input, output, layer.weight, layer.scales, layer.bias, {}});
  }

  void add_dynamic_linear(int input, int output, Index features, Index outputs) {
    const LayerConstants layer = layer_of({outputs, features}, outputs);
    program.steps.emplace_back(
        DynamicLinear{input, output, layer.weight, layer.scales, floats({outputs})});
  }

  void add_lookup(int input, int output) {
    const auto table = random_.values<std::uint8_t>(256, 0, 255);
    program.steps.emplace_back(Lookup{input, output, constant(DType::kUInt8, {256}, table)});
  }

  /// Constants of random values.
  int floats(const Shape& shape) {
    return constant(DType::kFloat32, shape, random_.values<float>(shape.element_count(), -3, 3));
  }

  int bytes(const Shape& shape) {
    return constant(DType::kInt8, shape,
                    random_.values<std::int8_t>(shape.element_count(), -127, 127));
  }

 private:
  struct LayerConstants {
    int weight;
    int scales;
    int bias;
  };

  LayerConstants layer_of(const Shape& weight, Index outputs) {
    const std::vector<float> scales(static_cast<std::size_t>(outputs), 0.004F);
    return {bytes(weight), constant(DType::kFloat32, {outputs}, scales),
            constant(DType::kInt32, {outputs}, random_.values<std::int32_t>(outputs, -3000, 3000))};
  }

  test::Random random_{10};
};

/// An image net with channel counts that fill no block and windows that leave
/// the image. Takes float images [N, 3, H, W].
inline Program sample_program() {
  Builder b;
  const int x = b.tensor(DType::kFloat32, 4);
  const int q = b.activation(0.02F, 128);
  const int stem = b.activation(0.05F, 3);
  const int grouped = b.activation(0.05F, 7);
  const int depthwise = b.activation(0.06F, 200);
  const int point = b.activation(0.1F, 120);
  const int largest = b.activation(0.1F, 120);
  const int sum = b.activation(0.15F, 100);
  const int mean = b.activation(0.1F, 120);
  const int joined = b.activation(0.1F, 120);
  const int looked_up = b.activation(0.1F, 90);
  const int global = b.activation(0.05F, 10);
  const int flat = b.activation(0.05F, 10, 2);
  const int classes = b.activation(0.3F, 128, 2);
  const int y = b.tensor(DType::kFloat32, 2);
  const int mixed = b.activation(0.15F, 100);
  const int mixed_floats = b.tensor(DType::kFloat32, 4);

  auto& steps = b.program.steps;
  steps.emplace_back(Quantize{x, q});
  b.add_conv(q, stem, {20, 3, 3, 3}, {.stride = {2, 2}, .padding = {1, 0, 1, 1}}, 1);
  b.add_conv(stem, grouped, {20, 5, 3, 3}, {.padding = {2, 2, 2, 2}, .dilation = {2, 2}}, 4);
  b.add_conv(grouped, depthwise, {20, 1, 5, 5}, {.padding = {2, 2, 2, 2}}, 20);
  b.add_conv(depthwise, point, {70, 20, 1, 1}, {}, 1);
  steps.emplace_back(MaxPool2d{point, largest, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}});
  steps.emplace_back(
      AveragePool2d{point, mean, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}, false, false, {}});
  steps.emplace_back(Add{point, largest, sum, {}});
  steps.emplace_back(Concat{{point, largest, mean}, joined});
  std::vector<std::uint8_t> table(256);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<std::uint8_t>(255 - i);
  steps.emplace_back(Lookup{joined, looked_up, b.constant(DType::kUInt8, {256}, table)});
  steps.emplace_back(AveragePool2d{looked_up, global, {}, true, true, {}});
  steps.emplace_back(Reshape{global, flat, {0, -1}});
  b.add_linear(flat, classes, 210, 10);
  steps.emplace_back(Dequantize{classes, y});
  steps.emplace_back(Reshape{sum, mixed, {0, 35, -1, 2}});
  steps.emplace_back(Dequantize{mixed, mixed_floats});
  b.program.inputs = {x};
  b.program.outputs = {y, sum, mixed_floats};
  return b.program;
}

}  // namespace smidgen::engine
