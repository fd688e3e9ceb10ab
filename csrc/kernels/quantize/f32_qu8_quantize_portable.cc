#include "kernels/quantize/quantize.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {

void f32_qu8_quantize_portable(std::ptrdiff_t count, const float* x, float scale,
                               const OutputRange& range, std::uint8_t* out) noexcept {
  for (std::ptrdiff_t i = 0; i < count; ++i) out[i] = round_and_clamp(x[i] / scale, range);
}

}  // namespace smidgen::kernels
