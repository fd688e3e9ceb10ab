#include "engine/steps/resampling.h"

#include "base/error.h"
#include "engine/preparation.h"
#include "ops/conv_transpose2d.h"
#include "ops/resize.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;

ops::ResizeMode mode_of(const std::string& name) {
  if (name == "nearest") return ops::ResizeMode::kNearest;
  if (name == "nearest_exact") return ops::ResizeMode::kNearestExact;
  if (name == "bilinear") return ops::ResizeMode::kBilinear;
  throw ProgramError("images cannot be resized by the mode '" + name + "'");
}

}  // namespace

Prepared prepare(const ConvTranspose2d& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kUInt8);
  preparation.expect_type(step.output, DType::kUInt8);
  const Constant& weight = preparation.constant(step.weight, DType::kInt8, 4);
  const ops::WeightedLayer layer{
      weight.values<std::int8_t>(),
      preparation.constant(step.weight_scale, DType::kFloat32, 1).values<float>(),
      preparation.constant(step.bias, DType::kInt32, 1).values<std::int32_t>(),
      preparation.quantization(step.input),
      preparation.quantization(step.output),
      {step.qmin, step.qmax}};
  const ops::ConvTranspose2dGeometry geometry{
      .in_channels = weight.shape[0],
      .out_channels = weight.shape[1] * step.groups,
      .groups = step.groups,
      .window = {.kernel = {weight.shape[2], weight.shape[3]},
                 .stride = step.stride,
                 .padding = step.padding,
                 .dilation = step.dilation},
      .output_padding = step.output_padding};
  return std::make_unique<ops::ConvTranspose2d>(geometry, layer, preparation.isa());
}

Prepared prepare(const Resize& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kUInt8);
  preparation.expect_type(step.output, DType::kUInt8);
  return std::make_unique<ops::Resize>(
      ops::ResizeSettings{mode_of(step.mode), step.size, step.ratio, step.align_corners},
      preparation.isa());
}

}  // namespace smidgen::engine
