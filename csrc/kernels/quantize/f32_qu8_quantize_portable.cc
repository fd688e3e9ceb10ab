#include "kernels/quantize/quantize.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {

void f32_qu8_quantize_portable(std::ptrdiff_t count, const float* x, const QuantizeScale& scale,
                               std::uint8_t* out) noexcept {
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    out[i] = round_and_clamp(x[i] / scale.scale, scale.range);
  }
}

void f32_qu8_quantize_3_planes_portable(std::ptrdiff_t count, const float* x,
                                        std::ptrdiff_t plane_stride, const QuantizeScale& scale,
                                        std::uint8_t* out) noexcept {
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    for (int plane = 0; plane < 3; ++plane) {
      const float value = x[plane * plane_stride + i];
      out[3 * i + plane] = round_and_clamp(value / scale.scale, scale.range);
    }
  }
}

}  // namespace smidgen::kernels
