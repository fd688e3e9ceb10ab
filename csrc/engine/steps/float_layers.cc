#include "engine/steps/float_layers.h"

#include <vector>

#include "base/error.h"
#include "engine/preparation.h"
#include "ops/float_conv2d.h"
#include "ops/float_depthwise.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;

/// Weights [C][O / groups][KH][KW] as those of the convolution that does the same: [O][C / groups],
/// with the window turned round.
std::vector<float> turned(std::span<const float> weight, const Shape& shape, Index groups) {
  const Index channels = shape[0] / groups;
  const Index outs = shape[1];
  const Index taps = shape[2] * shape[3];
  std::vector<float> result;
  result.reserve(weight.size());
  for (Index group = 0; group < groups; ++group) {
    for (Index o = 0; o < outs; ++o) {
      for (Index c = 0; c < channels; ++c) {
        const Index first = ((group * channels + c) * outs + o) * taps;
        for (Index tap = taps; tap-- > 0;) {
          result.push_back(weight[static_cast<std::size_t>(first + tap)]);
        }
      }
    }
  }
  return result;
}

}  // namespace

Prepared prepare(const FloatConv2d& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kFloat32);
  preparation.expect_type(step.output, DType::kFloat32);
  const Constant& weight = preparation.constant(step.weight, DType::kFloat32, 4);
  const Constant& bias = preparation.constant(step.bias, DType::kFloat32, 1);
  const ops::FloatConv2dGeometry geometry{.in_channels = weight.shape[1] * step.groups,
                                          .out_channels = weight.shape[0],
                                          .groups = step.groups,
                                          .kernel = {weight.shape[2], weight.shape[3]},
                                          .stride = step.stride,
                                          .padding = step.padding,
                                          .dilation = step.dilation,
                                          .stretch = {1, 1}};
  if (ops::FloatDepthwise::fits(geometry)) {
    return std::make_unique<ops::FloatDepthwise>(geometry, weight.values<float>(),
                                                 bias.values<float>(), preparation.isa());
  }
  return std::make_unique<ops::FloatConv2d>(geometry, weight.values<float>(), bias.values<float>(),
                                            preparation.isa());
}

Prepared prepare(const FloatConvTranspose2d& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kFloat32);
  preparation.expect_type(step.output, DType::kFloat32);
  const Constant& weight = preparation.constant(step.weight, DType::kFloat32, 4);
  const Constant& bias = preparation.constant(step.bias, DType::kFloat32, 1);
  const Shape& shape = weight.shape;
  if (step.groups < 1 || shape[0] % step.groups != 0) {
    throw ProgramError(std::to_string(shape[0]) + " channels cannot have " +
                       std::to_string(step.groups) + " groups");
  }
  ops::FloatConv2dGeometry geometry{.in_channels = shape[0],
                                    .out_channels = shape[1] * step.groups,
                                    .groups = step.groups,
                                    .kernel = {shape[2], shape[3]},
                                    .stride = {1, 1},
                                    .padding = {},
                                    .dilation = step.dilation,
                                    .stretch = step.stride};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const Index reach = step.dilation[axis] * (geometry.kernel[axis] - 1);
    geometry.padding[axis] = reach - step.padding[axis];
    geometry.padding[axis + 2] = reach - step.padding[axis + 2] + step.output_padding[axis];
  }
  return std::make_unique<ops::FloatConv2d>(geometry,
                                            turned(weight.values<float>(), shape, step.groups),
                                            bias.values<float>(), preparation.isa());
}

}  // namespace smidgen::engine
