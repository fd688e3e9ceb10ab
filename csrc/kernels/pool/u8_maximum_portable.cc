#include "kernels/pool/pool.h"

namespace smidgen::kernels {

void u8_maximum_portable(const PoolWindow& window) noexcept {
  for (std::ptrdiff_t c = 0; c < window.channels; ++c) window.out[c] = 0;
  for (std::ptrdiff_t row = 0; row < window.rows; ++row) {
    for (std::ptrdiff_t column = 0; column < window.columns; ++column) {
      const std::uint8_t* x = window.x + row * window.row_stride + column * window.column_stride;
      for (std::ptrdiff_t c = 0; c < window.channels; ++c) {
        window.out[c] = x[c] > window.out[c] ? x[c] : window.out[c];
      }
    }
  }
}

}  // namespace smidgen::kernels
