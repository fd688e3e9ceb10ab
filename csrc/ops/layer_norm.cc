#include "ops/layer_norm.h"

#include <algorithm>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/float32/registry.h"
#include "kernels/select.h"
#include "ops/quantize.h"

namespace smidgen::ops {
namespace {

constexpr Index kBlockBytes = 128 * 1024;  // of rows that are quantized before the next are read

AlignedBuffer copy_of(std::span<const float> values) {
  AlignedBuffer buffer(static_cast<Index>(values.size_bytes()));
  std::ranges::copy(values, buffer.as<float>());
  return buffer;
}

const float* or_null(const AlignedBuffer& buffer) {
  return buffer.size() == 0 ? nullptr : buffer.as<float>();
}

}  // namespace

LayerNorm::LayerNorm(const LayerNormConstants& constants, Isa isa)
    : weight_(copy_of(constants.weight)),
      bias_(copy_of(constants.bias)),
      epsilon_(constants.epsilon),
      kernel_(kernels::best_variant(kernels::layer_norm_variants(), isa).kernel) {}

Shape LayerNorm::output_shape(std::span<const Shape> inputs) const {
  const Shape& x = inputs[0];
  const Index bytes = x[x.rank() - 1] * static_cast<Index>(sizeof(float));
  const auto fits = [bytes](const AlignedBuffer& buffer) {
    return buffer.size() == 0 || buffer.size() == bytes;
  };
  if (!fits(weight_) || !fits(bias_)) {
    throw TensorError("the input has shape " + x.to_string() +
                      ", whose last extent is not that of the weight or bias");
  }
  return x;
}

Index LayerNorm::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), 16);
}

void LayerNorm::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Index length = x.shape[x.shape.rank() - 1];
  const Index row_bytes = length * static_cast<Index>(sizeof(float));
  const Quantize* quantize = invocation.epilogue.quantize;
  const Range mine =
      partition(x.shape.element_count() / length, 1, invocation.part, invocation.parts);
  const Index step = std::max(Index{4}, kBlockBytes / row_bytes / 4 * 4);
  for (Index row = mine.begin; row < mine.end; row += step) {
    const Index rows = std::min(step, mine.end - row);
    const Index first = row * length;
    float* out = invocation.output.f32() + first;
    kernel_({.rows = rows,
             .count = length,
             .x = x.f32() + first,
             .addend = invocation.inputs.size() < 2 ? nullptr : invocation.inputs[1].f32() + first,
             .weight = or_null(weight_),
             .bias = or_null(bias_),
             .epsilon = epsilon_,
             .out = out});
    if (quantize == nullptr) continue;
    quantize->quantize(rows * length, out, invocation.epilogue.quantized.u8() + first);
  }
}

}  // namespace smidgen::ops
