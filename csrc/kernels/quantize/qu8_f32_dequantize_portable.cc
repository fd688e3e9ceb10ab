#include "kernels/quantize/quantize.h"

namespace smidgen::kernels {

void qu8_f32_dequantize_portable(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                                 std::int32_t zero_point, float* out) noexcept {
  for (std::ptrdiff_t i = 0; i < count; ++i) {
    out[i] = static_cast<float>(x[i] - zero_point) * scale;
  }
}

}  // namespace smidgen::kernels
