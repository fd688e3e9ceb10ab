#include "ops/linear.h"

#include "base/error.h"

namespace smidgen::ops {
namespace {

kernels::PackedGemm pack(Index in_features, Index out_features, const WeightedLayer& layer,
                         Isa isa) {
  check_constants(layer, out_features, in_features);
  const bool is_float = layer.output_type == DType::kFloat32;
  const std::vector<float> multipliers =
      is_float ? accumulator_scales(layer) : requantize_multipliers(layer);
  const kernels::GemmColumns columns{layer.weight, layer.bias, multipliers, layer.input.zero_point};
  const Isa level = is_float ? isa : kernels::level_for(isa, columns);
  const kernels::GemmShape shape{out_features, 1, in_features};
  // One row: single predictions are what linear layers mostly see.
  return kernels::pack_gemm(kernels::choose_gemm(level, shape, 1), shape, columns);
}

}  // namespace

Linear::Linear(Index in_features, Index out_features, const WeightedLayer& layer, Isa isa)
    : is_float_(layer.output_type == DType::kFloat32),
      range_(output_range(layer.output, layer.clamp)),
      product_(pack(in_features, out_features, layer, isa)) {}

Shape Linear::output_shape(std::span<const Shape> inputs) const {
  // uint8 tensors of rank 4 have their channels, not their last extent, along memory.
  if (inputs[0].rank() == 4) expect_rank(inputs[0], 3);
  return linear_shape(inputs[0], product_.features(), product_.outputs());
}

Index Linear::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), product_.outputs());
}

Index Linear::scratch_bytes(std::span<const Shape> inputs) const {
  return product_.scratch_bytes(row_count(inputs[0]));
}

bool Linear::can_fuse(const Epilogue& epilogue) const {
  return epilogue.is_empty() || (!is_float_ && ProductEpilogue::can_do(epilogue));
}

int Linear::candidate_count(std::span<const Shape> inputs, int parts) const {
  (void)inputs;
  return ProductOrder::count(parts);
}

std::string Linear::signature() const {
  return "linear " + std::to_string(product_.features()) + ' ' +
         std::to_string(product_.outputs()) + (is_float_ ? " float32" : " uint8");
}

void Linear::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const ProductEpilogue epilogue(range_, invocation.epilogue);
  kernels::GemmEnd end = epilogue.end();
  if (is_float_) end.ending = kernels::GemmEnding::kFloats;
  const MatrixRows rows{
      .count = row_count(x.shape),
      .a = x.u8(),
      .out = invocation.output.u8(),
      .addend = end.addend == nullptr ? nullptr : invocation.epilogue.addend.u8()};
  product_.multiply(rows, end, {invocation.part, invocation.parts, invocation.candidate},
                    invocation.scratch);
}

Shape linear_shape(const Shape& input, Index features, Index outputs) {
  const int rank = input.rank();
  if (rank < 2 || input[rank - 1] != features) {
    throw TensorError("the input has shape " + input.to_string() + ", expected " +
                      std::to_string(features) + " features along the last of two axes or more");
  }
  std::vector<Index> extents;
  for (int axis = 0; axis + 1 < rank; ++axis) extents.push_back(input[axis]);
  extents.push_back(outputs);
  return Shape(extents);
}

Index row_count(const Shape& input) { return input.element_count() / input[input.rank() - 1]; }

}  // namespace smidgen::ops
