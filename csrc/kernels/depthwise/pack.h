#pragma once

#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "base/shape.h"
#include "kernels/depthwise/registry.h"

namespace smidgen::kernels {

/// The weights of one depthwise convolution as the chosen kernel reads them.
struct PackedDepthwise {
  const DepthwiseVariant* variant;
  Index channels;
  Index taps;  // rounded up to the variant's group; weights behind the real ones are zero
  AlignedBuffer weights;      // [blocks][taps / group][block][group] int8
  AlignedBuffer bias2;        // [blocks][block] int32
  AlignedBuffer multipliers;  // [blocks][block] float32
};

/// Packs weights [channels][taps] with bias [channels] and multipliers [channels].
PackedDepthwise pack_depthwise(const DepthwiseVariant& variant, Index channels, Index taps,
                               std::span<const std::int8_t> weights,
                               std::span<const std::int32_t> bias,
                               std::span<const float> multipliers, std::int32_t x_zero_point);

}  // namespace smidgen::kernels
