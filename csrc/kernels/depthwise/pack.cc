#include "kernels/depthwise/pack.h"

namespace smidgen::kernels {
namespace {

/// Where a channel of a block stands in its packed order; see DepthwiseVariant.
Index packed_position(const DepthwiseVariant& variant, Index channel) {
  const Index per_lane = variant.block / variant.lanes;
  const Index lane = channel / per_lane;
  const Index within = channel % per_lane;
  return within / 4 * 4 * variant.lanes + 4 * lane + within % 4;
}

}  // namespace

PackedDepthwise pack_depthwise(const DepthwiseVariant& variant, Index channels, Index taps,
                               std::span<const std::int8_t> weights,
                               std::span<const std::int32_t> bias,
                               std::span<const float> multipliers, std::int32_t x_zero_point) {
  const Index padded_channels = round_up(channels, variant.block);
  const Index padded_taps = round_up(taps, variant.group);
  PackedDepthwise packed{&variant,
                         channels,
                         padded_taps,
                         AlignedBuffer(padded_channels * padded_taps),
                         AlignedBuffer(padded_channels * 4),
                         AlignedBuffer(padded_channels * 4)};
  for (Index c = 0; c < channels; ++c) {
    const Index block_start = c / variant.block * variant.block;
    const Index position = packed_position(variant, c - block_start);
    auto* block = packed.weights.as<std::int8_t>() + block_start * padded_taps;
    std::int64_t sum = 0;
    for (Index t = 0; t < taps; ++t) {
      const std::int8_t weight = weights[static_cast<std::size_t>(c * taps + t)];
      block[(t / variant.group * variant.block + position) * variant.group + t % variant.group] =
          weight;
      sum += weight;
    }
    const auto at = static_cast<std::size_t>(c);
    packed.bias2.as<std::int32_t>()[block_start + position] =
        static_cast<std::int32_t>(bias[at] - x_zero_point * sum);
    packed.multipliers.as<float>()[block_start + position] = multipliers[at];
  }
  return packed;
}

}  // namespace smidgen::kernels
