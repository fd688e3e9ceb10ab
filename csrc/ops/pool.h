#pragma once

#include "base/isa.h"
#include "kernels/pool/pool.h"
#include "ops/operator.h"
#include "ops/window.h"

namespace smidgen::ops {

struct AveragePoolSettings {
  Window window;
  bool is_global;  // the window is the whole image; `window` is not read
  bool count_include_pad;
  Quantization input;
  Quantization output;
  Clamp clamp;
};

/// Mean of each window of [N, C, H, W].
class AveragePool2d final : public Operator {
 public:
  AveragePool2d(const AveragePoolSettings& settings, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  Window window_over(const Shape& x) const;

  AveragePoolSettings settings_;
  float multiplier_;
  kernels::OutputRange range_;
  kernels::AverageKernel kernel_;
};

/// Largest value of each window of [N, C, H, W]; padding does not take part.
class MaxPool2d final : public Operator {
 public:
  MaxPool2d(const Window& window, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  Window window_;
  kernels::MaximumKernel kernel_;
};

}  // namespace smidgen::ops
