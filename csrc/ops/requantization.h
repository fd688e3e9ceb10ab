#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// What a convolution or linear layer needs beside its geometry. The spans are read only while
/// preparing.
struct WeightedLayer {
  std::span<const std::int8_t> weight;
  std::span<const float> weight_scale;  // [O]
  std::span<const std::int32_t> bias;   // [O]
  Quantization input;
  Quantization output;
  Clamp clamp;
  DType output_type = DType::kUInt8;  // float32 takes neither `output` nor `clamp`
};

/// Returns m[c] = fl(fl(s_x * s_w[c]) / s_y), as smidgen.functional.requantize_multipliers does.
std::vector<float> requantize_multipliers(const WeightedLayer& layer);

/// Returns fl(s_x * s_w[c]), what one unit of an accumulator is worth.
std::vector<float> accumulator_scales(const WeightedLayer& layer);

/// Throws ProgramError unless the constants have the lengths that the geometry needs.
void check_constants(const WeightedLayer& layer, Index channels, Index weights_per_channel);

}  // namespace smidgen::ops
