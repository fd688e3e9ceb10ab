#include "ops/linear.h"

#include <algorithm>

#include "base/error.h"
#include "ops/bordered_copy.h"

namespace smidgen::ops {
namespace {

constexpr Index kWideBytes = 128 * 1024;  // widened rows stay in the second-level cache

kernels::PackedGemm pack(Index in_features, Index out_features, const WeightedLayer& layer,
                         Isa isa) {
  check_constants(layer, out_features, in_features);
  const std::vector<float> multipliers = requantize_multipliers(layer);
  const kernels::GemmColumns columns{layer.weight, layer.bias, multipliers, layer.input.zero_point};
  // One row: single predictions are what linear layers mostly see.
  const kernels::GemmChoice choice =
      kernels::choose_gemm(kernels::level_for(isa, columns), out_features, 1);
  return kernels::pack_gemm(choice, {out_features, 1, in_features}, columns);
}

}  // namespace

Linear::Linear(Index in_features, Index out_features, const WeightedLayer& layer, Isa isa)
    : range_(output_range(layer.output, layer.clamp)),
      packed_(pack(in_features, out_features, layer, isa)) {}

Shape Linear::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  expect_rank(x, 2);
  if (x[1] != packed_.shape.k()) {
    throw TensorError("the input has shape " + x.to_string() + ", expected " +
                      std::to_string(packed_.shape.k()) + " features");
  }
  return {x[0], packed_.shape.n};
}

Index Linear::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), packed_.shape.n);
}

Index Linear::rows_at_once(Index rows) const {
  const kernels::GemmVariant& variant = *packed_.choice.main;
  if (variant.value_bytes() == 1) return rows;
  const Index row_bytes = packed_.shape.k() * variant.value_bytes();
  return std::min(rows, std::max(variant.mr, kWideBytes / row_bytes / variant.mr * variant.mr));
}

Index Linear::scratch_bytes(std::span<const Shape> inputs) const {
  const Index value_bytes = packed_.choice.main->value_bytes();
  if (value_bytes == 1) return 0;
  return rows_at_once(inputs[0][0]) * packed_.shape.k() * value_bytes;
}

void Linear::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Index k = packed_.shape.k();
  const Index value_bytes = packed_.choice.main->value_bytes();
  const Index step = rows_at_once(x.shape[0]);
  // Each thread streams its own part of the weights, which outweigh the activations here.
  const Range panels = partition(packed_.panels, 1, invocation.thread, invocation.threads);
  constexpr Index kNoOffset = 0;
  const ProductEpilogue epilogue(range_, invocation.epilogue);
  for (Index row = 0; row < x.shape[0]; row += step) {
    const Index count = std::min(step, x.shape[0] - row);
    const std::uint8_t* a = x.u8() + row * k;
    if (value_bytes == 2) {
      auto* wide = reinterpret_cast<std::uint8_t*>(invocation.scratch);
      widen(a, count * k, wide);
      a = wide;
    }
    const kernels::GemmRows rows{
        .images = 1,
        .lines = 1,
        .width = count,
        .a = a,
        .a_pitch = {0, 0, k * value_bytes},
        .out = invocation.output.u8() + row * packed_.shape.n,
        .out_pitch = {0, 0, packed_.shape.n},
        .addend = epilogue.addend() == nullptr
                      ? nullptr
                      : invocation.epilogue.addend.u8() + row * packed_.shape.n,
        .addend_pitch = {0, 0, packed_.shape.n}};
    const Index tiles = kernels::tile_count(packed_, rows);
    kernels::run_packed_gemm(packed_, {.rows = rows,
                                       .segments = 1,
                                       .segment_offsets = &kNoOffset,
                                       .strip_tiles = tiles,
                                       .tiles = {0, tiles},
                                       .panels = panels,
                                       .range = epilogue.range(),
                                       .addend = epilogue.addend(),
                                       .lookup = epilogue.lookup()});
  }
}

}  // namespace smidgen::ops
