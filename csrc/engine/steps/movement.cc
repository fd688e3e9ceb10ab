#include "engine/steps/movement.h"

#include <bit>
#include <utility>

#include "base/error.h"
#include "engine/preparation.h"
#include "ops/concat.h"
#include "ops/constant_tensor.h"
#include "ops/expand.h"
#include "ops/gather.h"
#include "ops/join.h"
#include "ops/pad.h"
#include "ops/reshape.h"
#include "ops/slice.h"
#include "ops/transpose.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;

/// Returns the type of the input, after checking that it is that of the output.
template <typename Moving>
DType moved_type(const Moving& step, const Preparation& preparation) {
  const DType dtype = preparation.tensor(step.input).dtype;
  preparation.expect_type(step.output, dtype);
  return dtype;
}

std::uint64_t padding_bytes(const Pad& step, DType dtype, const Preparation& preparation) {
  switch (dtype) {
    case DType::kFloat32:
      return std::bit_cast<std::uint32_t>(step.value);
    case DType::kInt64:
      return static_cast<std::uint64_t>(static_cast<std::int64_t>(step.value));
    case DType::kBool:
      return step.value == 0.0F ? 0 : 1;
    default:
      return static_cast<std::uint64_t>(preparation.quantization(step.input).zero_point);
  }
}

}  // namespace

Prepared prepare(const ConstantTensor& step, const Preparation& preparation) {
  const TensorInfo& output = preparation.tensor(step.output);
  const Constant& value = preparation.constant(step.value, output.dtype, output.rank);
  return std::make_unique<ops::ConstantTensor>(value.shape, output.dtype, value.values<std::byte>(),
                                               preparation.isa());
}

Prepared prepare(const Reshape& step, const Preparation& preparation) {
  return std::make_unique<ops::Reshape>(step.shape, moved_type(step, preparation),
                                        preparation.isa());
}

Prepared prepare(const Concat& step, const Preparation& preparation) {
  const TensorInfo& output = preparation.tensor(step.output);
  if (step.inputs.empty()) throw ProgramError("joins nothing");
  for (const int input : step.inputs) {
    preparation.expect_type(input, output.dtype);
    if (preparation.tensor(input).rank != output.rank) throw ProgramError("joins different ranks");
  }
  if (output.dtype == DType::kUInt8 && output.rank == 4 && step.axis == 1) {
    return std::make_unique<ops::Concat>();
  }
  return std::make_unique<ops::Join>(step.axis, output.dtype);
}

Prepared prepare(const Transpose& step, const Preparation& preparation) {
  return std::make_unique<ops::Transpose>(step.permutation, moved_type(step, preparation));
}

Prepared prepare(const Slice& step, const Preparation& preparation) {
  const ops::SliceRange range{step.axis, step.start, step.stop, step.stride};
  return std::make_unique<ops::Slice>(range, moved_type(step, preparation));
}

Prepared prepare(const Expand& step, const Preparation& preparation) {
  return std::make_unique<ops::Expand>(step.shape, moved_type(step, preparation));
}

Prepared prepare(const Pad& step, const Preparation& preparation) {
  const DType dtype = moved_type(step, preparation);
  return std::make_unique<ops::Pad>(step.pads, padding_bytes(step, dtype, preparation), dtype);
}

Prepared prepare(const Gather& step, const Preparation& preparation) {
  preparation.expect_type(step.indices, DType::kInt64);
  return std::make_unique<ops::Gather>(step.axis, moved_type(step, preparation));
}

}  // namespace smidgen::engine
