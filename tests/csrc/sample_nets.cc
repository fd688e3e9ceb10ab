#include "sample_nets.h"

#include "random_net.h"

namespace smidgen::engine {
namespace {

/// Resizes an image in several ways and weighs it by itself.
SampleNet resampling_net() {
  Builder b;
  const int x = b.tensor(DType::kFloat32, 4);
  const int q = b.activation(0.02F, 128);
  const int wide = b.activation(0.05F, 3);
  const int nearest = b.activation(0.02F, 128);
  const int bilinear = b.activation(0.02F, 128);
  const int product = b.activation(0.04F, 100);
  const int padded = b.activation(0.04F, 100);
  const int even = b.activation(0.04F, 100);
  auto& steps = b.program.steps;
  steps.emplace_back(Quantize{x, q});
  b.add_transposed_conv(q, wide, {6, 4, 3, 3}, 2, 2);
  steps.emplace_back(Resize{q, nearest, "nearest", {14, 9}, {0.5F, 0.7F}, false});
  steps.emplace_back(Resize{q, bilinear, "bilinear", {14, 9}, {0.5F, 0.7F}, false});
  steps.emplace_back(Multiply{nearest, bilinear, product, {}});
  steps.emplace_back(Pad{product, padded, {{0, 0}, {0, 0}, {1, 2}, {0, 3}}, 0.0F});
  steps.emplace_back(Slice{padded, even, 3, 0, 12, 2});
  b.program.inputs = {x};
  b.program.outputs = {wide, even};
  return {"resampling", b.program, {{2, 6, 7, 6}}};
}

/// An encoder of token indices: floats, attention on bytes, and what quantizes by itself.
SampleNet encoder_net() {
  constexpr Index kWidth = 24;
  Builder b;
  const int ids = b.tensor(DType::kInt64, 2);
  const int mask = b.tensor(DType::kFloat32, 4);
  const int embedded = b.tensor(DType::kFloat32, 3);
  const int normal = b.tensor(DType::kFloat32, 3);
  const int q = b.activation(0.05F, 128, 3);
  const int merged = b.activation(0.3F, 120, 3);
  const int attended = b.activation(0.3F, 120, 3);
  const int floats = b.tensor(DType::kFloat32, 3);
  const int wide = b.tensor(DType::kFloat32, 3);
  const int scores = b.tensor(DType::kFloat32, 3);
  const int weights = b.tensor(DType::kFloat32, 3);
  const int mean = b.tensor(DType::kFloat32, 2);
  const int best = b.tensor(DType::kInt64, 2);
  auto& steps = b.program.steps;
  const int table = b.bytes({kSampleIndices, kWidth});
  steps.emplace_back(Embedding{ids, embedded, table, b.floats({kSampleIndices})});
  steps.emplace_back(LayerNorm{embedded, normal, 1e-3F, b.floats({kWidth}), b.floats({kWidth})});
  steps.emplace_back(Quantize{normal, q});
  b.add_linear(q, merged, kWidth, 3 * kWidth);
  steps.emplace_back(Attention{.query = merged,
                               .key = merged,
                               .value = merged,
                               .output = attended,
                               .mask = mask,
                               .heads = 2,
                               .head_size = kWidth / 2,
                               .scale = 0.29F,
                               .query_offset = 0,
                               .key_offset = kWidth,
                               .value_offset = 2 * kWidth});
  steps.emplace_back(Dequantize{attended, floats});
  b.add_dynamic_linear(floats, wide, kWidth, 37);
  steps.emplace_back(MatMul{wide, wide, scores, true});
  steps.emplace_back(Softmax{scores, weights, 2});
  steps.emplace_back(Reduce{weights, mean, "mean", {1}, false});
  steps.emplace_back(Reduce{weights, best, "argmax", {2}, false});
  b.program.inputs = {ids, mask};
  b.program.outputs = {mean, best};
  return {"encoder", b.program, {{2, 11}, {2, 1, 1, 11}}};
}

/// Layers on floats between quantized values, the first one with windows that leave the image.
SampleNet float_layers_net() {
  Builder b;
  const int x = b.tensor(DType::kFloat32, 4);
  const int q = b.activation(0.02F, 128);
  const int rounded = b.tensor(DType::kFloat32, 4);
  const int dense = b.tensor(DType::kFloat32, 4);
  const int depthwise = b.tensor(DType::kFloat32, 4);
  const int point = b.tensor(DType::kFloat32, 4);
  const int wide = b.tensor(DType::kFloat32, 4);
  const int result = b.activation(4.0F, 100);
  auto& steps = b.program.steps;
  steps.emplace_back(Quantize{x, q});
  steps.emplace_back(Dequantize{q, rounded});
  steps.emplace_back(FloatConv2d{.input = rounded,
                                 .output = dense,
                                 .weight = b.floats({18, 5, 3, 2}),
                                 .bias = b.floats({18}),
                                 .stride = {2, 1},
                                 .padding = {2, 0, 1, 3},
                                 .dilation = {1, 2},
                                 .groups = 1});
  steps.emplace_back(FloatConv2d{.input = dense,
                                 .output = depthwise,
                                 .weight = b.floats({18, 1, 3, 3}),
                                 .bias = b.floats({18}),
                                 .stride = {1, 2},
                                 .padding = {1, 1, 1, 1},
                                 .dilation = {1, 1},
                                 .groups = 18});
  steps.emplace_back(FloatConv2d{.input = depthwise,
                                 .output = point,
                                 .weight = b.floats({14, 9, 1, 1}),
                                 .bias = b.floats({14}),
                                 .stride = {1, 1},
                                 .padding = {0, 0, 0, 0},
                                 .dilation = {1, 1},
                                 .groups = 2});
  steps.emplace_back(FloatConvTranspose2d{.input = point,
                                          .output = wide,
                                          .weight = b.floats({14, 3, 2, 3}),
                                          .bias = b.floats({6}),
                                          .stride = {3, 2},
                                          .padding = {0, 2, 1, 2},
                                          .output_padding = {2, 1},
                                          .dilation = {1, 1},
                                          .groups = 2});
  steps.emplace_back(Quantize{wide, result});
  b.program.inputs = {x};
  b.program.outputs = {wide, result};
  return {"float layers", b.program, {{3, 5, 13, 17}}};
}

/// What moves floats, integers and truth values, and computes with them one by one.
SampleNet elementwise_net() {
  Builder b;
  const int x = b.tensor(DType::kFloat32, 3);
  const int indices = b.tensor(DType::kInt64, 1);
  const int half = b.tensor(DType::kFloat32, 1);
  const int wide = b.tensor(DType::kFloat32, 3);
  const int is_less = b.tensor(DType::kBool, 3);
  const int sine = b.tensor(DType::kFloat32, 3);
  const int chosen = b.tensor(DType::kFloat32, 3);
  const int power = b.tensor(DType::kFloat32, 3);
  const int whole = b.tensor(DType::kInt64, 3);
  const int doubled = b.tensor(DType::kInt64, 3);
  const int gathered = b.tensor(DType::kInt64, 3);
  const int turned = b.tensor(DType::kFloat32, 3);
  const int joined = b.tensor(DType::kFloat32, 3);
  auto& steps = b.program.steps;
  const int value = b.constant(DType::kFloat32, {1}, std::vector<float>{0.5F});
  steps.emplace_back(ConstantTensor{half, value});
  steps.emplace_back(Expand{half, wide, {2, kSampleIndices, 33}});
  steps.emplace_back(Compare{x, half, is_less, "lt"});
  steps.emplace_back(Unary{x, sine, "sin", {}});
  steps.emplace_back(Where{is_less, sine, wide, chosen});
  steps.emplace_back(Binary{chosen, half, power, "pow"});
  steps.emplace_back(Cast{x, whole});
  steps.emplace_back(Binary{whole, whole, doubled, "add"});
  steps.emplace_back(Gather{doubled, indices, gathered, 1});
  steps.emplace_back(Transpose{power, turned, {0, 2, 1}});
  steps.emplace_back(Concat{{turned, turned}, joined, 2});
  b.program.inputs = {x, indices};
  b.program.outputs = {gathered, joined};
  return {"elementwise", b.program, {{2, kSampleIndices, 33}, {7}}};
}

}  // namespace

std::vector<SampleNet> sample_nets() {
  constexpr std::uint64_t kRandomNets = 20;
  std::vector<SampleNet> nets = {{"image", sample_program(), {{2, 3, 16, 16}}},
                                 resampling_net(),
                                 encoder_net(),
                                 float_layers_net(),
                                 elementwise_net()};
  for (std::uint64_t seed = 1; seed <= kRandomNets; ++seed) {
    nets.push_back(random_image_net(seed));
    nets.push_back(random_float_net(seed));
  }
  return nets;
}

}  // namespace smidgen::engine
