#include <immintrin.h>

#include "kernels/pool/load_partial.inc"
#include "kernels/pool/pool.h"

namespace smidgen::kernels {

void u8_maximum_avx2(const PoolWindow& window) noexcept {
  for (std::ptrdiff_t c = 0; c < window.channels; c += 16) {
    __m128i largest = _mm_setzero_si128();
    for (std::ptrdiff_t row = 0; row < window.rows; ++row) {
      const std::uint8_t* x = window.x + row * window.row_stride + c;
      for (std::ptrdiff_t column = 0; column < window.columns;
           ++column, x += window.column_stride) {
        largest = _mm_max_epu8(largest, load(x, window.channels - c));
      }
    }
    store(largest, window.channels - c, window.out + c);
  }
}

}  // namespace smidgen::kernels
