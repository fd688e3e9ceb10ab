#include "engine/steps/reduction.h"

#include "base/error.h"
#include "engine/preparation.h"
#include "ops/layer_norm.h"
#include "ops/reduce.h"
#include "ops/softmax.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;

kernels::RowFunction row_function(const std::string& name) {
  if (name == "sum") return kernels::RowFunction::kSum;
  if (name == "mean") return kernels::RowFunction::kMean;
  if (name == "maximum") return kernels::RowFunction::kMaximum;
  if (name == "minimum") return kernels::RowFunction::kMinimum;
  throw ProgramError("there is no reduction '" + name + "'");
}

}  // namespace

Prepared prepare(const Reduce& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kFloat32);
  ops::ReducedAxes reduced{step.axes, step.keep_dims};
  if (step.function == "argmax") {
    preparation.expect_type(step.output, DType::kInt64);
    return std::make_unique<ops::ArgMax>(std::move(reduced));
  }
  preparation.expect_type(step.output, DType::kFloat32);
  return std::make_unique<ops::Reduce>(row_function(step.function), std::move(reduced),
                                       preparation.isa());
}

Prepared prepare(const Softmax& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kFloat32);
  preparation.expect_type(step.output, DType::kFloat32);
  return std::make_unique<ops::Softmax>(step.axis, preparation.isa());
}

Prepared prepare(const LayerNorm& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kFloat32);
  preparation.expect_type(step.output, DType::kFloat32);
  const auto values = [&](int constant) {
    return constant < 0 ? std::span<const float>()
                        : preparation.constant(constant, DType::kFloat32, 1).values<float>();
  };
  const ops::LayerNormConstants constants{values(step.weight), values(step.bias), step.epsilon};
  return std::make_unique<ops::LayerNorm>(constants, preparation.isa());
}

}  // namespace smidgen::engine
