#pragma once

#include <cstdint>

#include "base/shape.h"
#include "kernels/output_range.h"

namespace smidgen::kernels {

/// The formula of depthwise.h on unpacked operands for one pixel; judges every kernel of the
/// family.
///
/// x: first tap of the window; w: [channels][taps]; bias and multipliers: [channels]; out:
/// [channels].
void qu8_qc8w_depthwise_reference(Index channels, Index taps, const std::uint8_t* x,
                                  const Index* tap_offsets, std::int32_t x_zero_point,
                                  const std::int8_t* w, const std::int32_t* bias,
                                  const float* multipliers, const OutputRange& range,
                                  std::uint8_t* out);

}  // namespace smidgen::kernels
