#include "engine/steps/matrix.h"

#include "engine/preparation.h"
#include "ops/dynamic_linear.h"
#include "ops/embedding.h"
#include "ops/matmul.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;

}  // namespace

Prepared prepare(const MatMul& step, const Preparation& preparation) {
  for (const int tensor : {step.lhs, step.rhs, step.output}) {
    preparation.expect_type(tensor, DType::kFloat32);
  }
  return std::make_unique<ops::MatMul>(step.transpose_rhs, preparation.isa());
}

Prepared prepare(const Embedding& step, const Preparation& preparation) {
  preparation.expect_type(step.indices, DType::kInt64);
  preparation.expect_type(step.output, DType::kFloat32);
  const Constant& table = preparation.constant(step.table, DType::kInt8, 2);
  const Constant& scale = preparation.constant(step.table_scale, DType::kFloat32, 1);
  return std::make_unique<ops::Embedding>(table.values<std::int8_t>(), scale.values<float>(),
                                          preparation.isa());
}

Prepared prepare(const DynamicLinear& step, const Preparation& preparation) {
  preparation.expect_type(step.input, DType::kFloat32);
  preparation.expect_type(step.output, DType::kFloat32);
  const Constant& weight = preparation.constant(step.weight, DType::kInt8, 2);
  const Constant& scale = preparation.constant(step.weight_scale, DType::kFloat32, 1);
  const Constant& bias = preparation.constant(step.bias, DType::kFloat32, 1);
  return std::make_unique<ops::DynamicLinear>(
      weight.shape[1], weight.shape[0],
      ops::DynamicLinear::Layer{weight.values<std::int8_t>(), scale.values<float>(),
                                bias.values<float>()},
      preparation.isa());
}

}  // namespace smidgen::engine
