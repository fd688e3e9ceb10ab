#include "ops/layer_norm.h"

#include <algorithm>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/float32/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

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
  const Range mine =
      partition(x.shape.element_count() / length, 1, invocation.thread, invocation.threads);
  kernel_({.rows = mine.end - mine.begin,
           .count = length,
           .x = x.f32() + mine.begin * length,
           .weight = or_null(weight_),
           .bias = or_null(bias_),
           .epsilon = epsilon_,
           .out = invocation.output.f32() + mine.begin * length});
}

}  // namespace smidgen::ops
