#include "kernels/float32/float32.h"

namespace smidgen::kernels {

void s8_f32_scale_row_portable(std::ptrdiff_t count, const std::int8_t* row, float scale,
                               float* out) noexcept {
  for (std::ptrdiff_t i = 0; i < count; ++i) out[i] = static_cast<float>(row[i]) * scale;
}

}  // namespace smidgen::kernels
