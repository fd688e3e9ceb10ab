#include <immintrin.h>

#include "kernels/float32/float32.h"

namespace smidgen::kernels {

void s8_f32_scale_row_avx2(std::ptrdiff_t count, const std::int8_t* row, float scale,
                           float* out) noexcept {
  std::ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + i));
    const __m256 values = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(values, _mm256_set1_ps(scale)));
  }
  for (; i < count; ++i) out[i] = static_cast<float>(row[i]) * scale;
}

}  // namespace smidgen::kernels
