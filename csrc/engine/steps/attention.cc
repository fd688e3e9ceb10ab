#include "engine/steps/attention.h"

#include "base/error.h"
#include "engine/preparation.h"
#include "ops/attention.h"

namespace smidgen::engine {

std::unique_ptr<ops::Operator> prepare(const Attention& step, const Preparation& preparation) {
  for (const int tensor : {step.query, step.key, step.value, step.output}) {
    preparation.expect_type(tensor, DType::kUInt8);
  }
  if (step.mask >= 0) preparation.expect_type(step.mask, DType::kFloat32);
  constexpr Index kMostFeatures = Index{1} << 15U;  // so that no sum of products leaves 32 bits
  const Index sizes[] = {step.heads, step.head_size};
  const Index offsets[] = {step.query_offset, step.key_offset, step.value_offset};
  for (const Index size : sizes) {
    if (size < 1 || size > kMostFeatures) throw ProgramError("attention has heads of no such size");
  }
  for (const Index offset : offsets) {
    if (offset < 0) throw ProgramError("attention begins at a negative feature");
  }
  return std::make_unique<ops::Attention>(
      ops::AttentionSettings{.heads = step.heads,
                             .head_size = step.head_size,
                             .scale = step.scale,
                             .query_offset = step.query_offset,
                             .key_offset = step.key_offset,
                             .value_offset = step.value_offset,
                             .has_mask = step.mask >= 0,
                             .query = preparation.quantization(step.query),
                             .key = preparation.quantization(step.key),
                             .value = preparation.quantization(step.value),
                             .output = preparation.quantization(step.output)},
      preparation.isa());
}

}  // namespace smidgen::engine
