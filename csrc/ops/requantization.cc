#include "ops/requantization.h"

#include "base/error.h"

namespace smidgen::ops {
namespace {

void expect_length(const char* what, std::size_t found, Index expected) {
  if (static_cast<Index>(found) == expected) return;
  throw ProgramError(std::string(what) + " has " + std::to_string(found) + " values, expected " +
                     std::to_string(expected));
}

}  // namespace

std::vector<float> requantize_multipliers(const WeightedLayer& layer) {
  std::vector<float> multipliers = accumulator_scales(layer);
  for (float& multiplier : multipliers) multiplier /= layer.output.scale;
  return multipliers;
}

std::vector<float> accumulator_scales(const WeightedLayer& layer) {
  std::vector<float> scales;
  scales.reserve(layer.weight_scale.size());
  for (const float scale : layer.weight_scale) scales.push_back(layer.input.scale * scale);
  return scales;
}

void check_constants(const WeightedLayer& layer, Index channels, Index weights_per_channel) {
  expect_length("weight", layer.weight.size(), channels * weights_per_channel);
  expect_length("weight_scale", layer.weight_scale.size(), channels);
  expect_length("bias", layer.bias.size(), channels);
}

}  // namespace smidgen::ops
