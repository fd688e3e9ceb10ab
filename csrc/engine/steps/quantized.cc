#include "engine/steps/quantized.h"

#include "engine/preparation.h"
#include "ops/add.h"
#include "ops/conv2d.h"
#include "ops/depthwise_conv2d.h"
#include "ops/linear.h"
#include "ops/lookup.h"
#include "ops/multiply.h"
#include "ops/pool.h"
#include "ops/quantize.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;

void expect_quantized(const Preparation& preparation, std::initializer_list<int> tensors) {
  for (const int tensor : tensors) preparation.expect_type(tensor, DType::kUInt8);
}

template <typename Weighted>
ops::WeightedLayer layer(const Weighted& step, const Constant& weight,
                         const Preparation& preparation) {
  return {weight.values<std::int8_t>(),
          preparation.constant(step.weight_scale, DType::kFloat32, 1).template values<float>(),
          preparation.constant(step.bias, DType::kInt32, 1).template values<std::int32_t>(),
          preparation.quantization(step.input),
          preparation.quantization(step.output),
          step.clamp,
          preparation.tensor(step.output).dtype};
}

}  // namespace

Prepared prepare(const Quantize& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kFloat32);
  preparation.expect_type(step.output, DType::kUInt8);
  return std::make_unique<ops::Quantize>(preparation.quantization(step.output), preparation.isa());
}

Prepared prepare(const Dequantize& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kUInt8);
  preparation.expect_type(step.output, DType::kFloat32);
  return std::make_unique<ops::Dequantize>(preparation.quantization(step.input), preparation.isa());
}

Prepared prepare(const Conv2d& step, const Preparation& preparation) {
  expect_quantized(preparation, {step.input, step.output});
  const Constant& constant = preparation.constant(step.weight, DType::kInt8, 4);
  const Shape& weight = constant.shape;
  ops::Window window = step.window;
  window.kernel = {weight[2], weight[3]};
  const ops::WeightedLayer weighted = layer(step, constant, preparation);
  if (weight[1] == 1 && weight[0] == step.groups) {
    return std::make_unique<ops::DepthwiseConv2d>(step.groups, window, weighted, preparation.isa());
  }
  const ops::Conv2dGeometry geometry{weight[1] * step.groups, weight[0], step.groups, window};
  return std::make_unique<ops::Conv2d>(geometry, weighted, preparation.isa());
}

Prepared prepare(const Linear& step, const Preparation& preparation) {
  expect_quantized(preparation, {step.input});
  if (preparation.tensor(step.output).dtype != DType::kFloat32) {
    expect_quantized(preparation, {step.output});
  }
  const Constant& weight = preparation.constant(step.weight, DType::kInt8, 2);
  return std::make_unique<ops::Linear>(weight.shape[1], weight.shape[0],
                                       layer(step, weight, preparation), preparation.isa());
}

Prepared prepare(const Add& step, const Preparation& preparation) {
  expect_quantized(preparation, {step.lhs, step.rhs, step.output});
  return std::make_unique<ops::Add>(
      preparation.quantization(step.lhs), preparation.quantization(step.rhs),
      preparation.quantization(step.output), step.clamp, preparation.isa());
}

Prepared prepare(const Multiply& step, const Preparation& preparation) {
  expect_quantized(preparation, {step.lhs, step.rhs, step.output});
  return std::make_unique<ops::Multiply>(
      preparation.quantization(step.lhs), preparation.quantization(step.rhs),
      preparation.quantization(step.output), step.clamp, preparation.isa());
}

Prepared prepare(const AveragePool2d& step, const Preparation& preparation) {
  expect_quantized(preparation, {step.input, step.output});
  const ops::AveragePoolSettings settings{step.window,
                                          step.is_global,
                                          step.count_include_pad,
                                          preparation.quantization(step.input),
                                          preparation.quantization(step.output),
                                          step.clamp};
  return std::make_unique<ops::AveragePool2d>(settings, preparation.isa());
}

Prepared prepare(const MaxPool2d& step, const Preparation& preparation) {
  expect_quantized(preparation, {step.input, step.output});
  return std::make_unique<ops::MaxPool2d>(step.window, preparation.isa());
}

Prepared prepare(const Lookup& step, const Preparation& preparation) {
  expect_quantized(preparation, {step.input, step.output});
  const Constant& table = preparation.constant(step.table, DType::kUInt8, 1);
  return std::make_unique<ops::Lookup>(table.values<std::uint8_t>(), preparation.isa());
}

}  // namespace smidgen::engine
