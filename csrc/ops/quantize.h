#pragma once

#include "base/isa.h"
#include "kernels/layout/layout.h"
#include "kernels/quantize/registry.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// float32 in logical order to uint8 as it lies in memory.
class Quantize final : public Operator {
 public:
  Quantize(const Quantization& output, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

  /// Quantizes values that lie in order; for steps into which this one is fused.
  void quantize(Index count, const float* x, std::uint8_t* out) const noexcept {
    variant_.kernel(count, x, scale_, out);
  }

 private:
  kernels::QuantizeScale scale_;
  const kernels::QuantizeVariant& variant_;
  kernels::TransposeKernel transpose_;
};

/// uint8 as it lies in memory to float32 in logical order.
class Dequantize final : public Operator {
 public:
  Dequantize(const Quantization& input, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  Quantization input_;
  kernels::DequantizeKernel kernel_;
  kernels::TransposeKernel transpose_;
};

}  // namespace smidgen::ops
