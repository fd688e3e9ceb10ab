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

  void add_conv(int input, int output, const Shape& weight, const ops::Window& window,
                Index groups) {
    const Index outs = weight[0];
    const int w = constant(DType::kInt8, weight,
                           random_.values<std::int8_t>(weight.element_count(), -127, 127));
    const int scales = constant(DType::kFloat32, {outs},
                                std::vector<float>(static_cast<std::size_t>(outs), 0.004F));
    const int bias =
        constant(DType::kInt32, {outs}, random_.values<std::int32_t>(outs, -3000, 3000));
    program.steps.emplace_back(Conv2d{input, output, w, scales, bias, window, groups, {2, 250}});
  }

 private:
  test::Random random_{10};
};

/// A program of every kind of step, with channel counts that fill no block and windows that leave
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
  test::Random random(11);
  const int w = b.constant(DType::kInt8, {10, 210}, random.values<std::int8_t>(2100, -127, 127));
  const int scales = b.constant(DType::kFloat32, {10}, std::vector<float>(10, 0.01F));
  const int bias = b.constant(DType::kInt32, {10}, random.values<std::int32_t>(10, -3000, 3000));
  steps.emplace_back(Linear{flat, classes, w, scales, bias, {}});
  steps.emplace_back(Dequantize{classes, y});
  steps.emplace_back(Reshape{sum, mixed, {0, 35, -1, 2}});
  steps.emplace_back(Dequantize{mixed, mixed_floats});
  b.program.inputs = {x};
  b.program.outputs = {y, sum, mixed_floats};
  return b.program;
}

}  // namespace smidgen::engine
