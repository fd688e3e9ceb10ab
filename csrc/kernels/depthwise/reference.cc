#include "kernels/depthwise/reference.h"

#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {

void qu8_qc8w_depthwise_reference(Index channels, Index taps, const std::uint8_t* x,
                                  const Index* tap_offsets, std::int32_t x_zero_point,
                                  const std::int8_t* w, const std::int32_t* bias,
                                  const float* multipliers, const OutputRange& range,
                                  std::uint8_t* out) {
  for (Index c = 0; c < channels; ++c) {
    std::int64_t acc = bias[c];
    for (Index t = 0; t < taps; ++t) {
      acc += (x[tap_offsets[t] + c] - x_zero_point) * w[c * taps + t];
    }
    const auto wrapped = static_cast<std::int32_t>(acc);
    out[c] = round_and_clamp(static_cast<float>(wrapped) * multipliers[c], range);
  }
}

}  // namespace smidgen::kernels
