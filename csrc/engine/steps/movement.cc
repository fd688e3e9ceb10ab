#include "engine/steps/movement.h"

#include "base/error.h"
#include "engine/preparation.h"
#include "ops/concat.h"
#include "ops/reshape.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;

}  // namespace

Prepared prepare(const Concat& step, const Preparation& preparation) {
  for (const int input : step.inputs) preparation.expect_type(input, DType::kUInt8);
  preparation.expect_type(step.output, DType::kUInt8);
  if (step.inputs.empty() || step.axis != 1) throw ProgramError("joins other than along axis 1");
  return std::make_unique<ops::Concat>();
}

Prepared prepare(const Reshape& step, const Preparation& preparation) {
  const DType dtype = preparation.tensor(step.input).dtype;
  preparation.expect_type(step.output, dtype);
  return std::make_unique<ops::Reshape>(step.shape, dtype, preparation.isa());
}

}  // namespace smidgen::engine
