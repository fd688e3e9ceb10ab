#include "ops/linear.h"

#include "base/error.h"
#include "base/partition.h"

namespace smidgen::ops {
namespace {

kernels::PackedGemm pack(Index in_features, Index out_features, const WeightedLayer& layer,
                         Isa isa) {
  check_constants(layer, out_features, in_features);
  // One row: single predictions are what linear layers mostly see.
  return kernels::pack_gemm(kernels::choose_gemm(isa, out_features, 1), out_features, in_features,
                            layer.weight, layer.bias, requantize_multipliers(layer),
                            layer.input.zero_point);
}

}  // namespace

Linear::Linear(Index in_features, Index out_features, const WeightedLayer& layer, Isa isa)
    : range_(output_range(layer.output, layer.clamp)),
      packed_(pack(in_features, out_features, layer, isa)) {}

Shape Linear::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  expect_rank(x, 2);
  if (x[1] != packed_.k) {
    throw TensorError("the input has shape " + x.to_string() + ", expected " +
                      std::to_string(packed_.k) + " features");
  }
  return {x[0], packed_.n};
}

Index Linear::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), packed_.n);
}

void Linear::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  // Each thread streams its own part of the weights, which outweigh the activations here.
  const Range panels = partition(packed_.panels, 1, invocation.thread, invocation.threads);
  kernels::run_packed_gemm(packed_, x.u8(), packed_.k, x.shape[0], panels.begin, panels.end, range_,
                           invocation.output.u8(), packed_.n);
}

}  // namespace smidgen::ops
