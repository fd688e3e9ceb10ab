#include <immintrin.h>

#include "kernels/quantize/quantize.h"

namespace smidgen::kernels {

void qu8_f32_dequantize_avx2(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                             std::int32_t zero_point, float* out) noexcept {
  std::ptrdiff_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x + i));
    const __m256i centred =
        _mm256_sub_epi32(_mm256_cvtepu8_epi32(bytes), _mm256_set1_epi32(zero_point));
    _mm256_storeu_ps(out + i, _mm256_mul_ps(_mm256_cvtepi32_ps(centred), _mm256_set1_ps(scale)));
  }
  for (; i < count; ++i) out[i] = static_cast<float>(x[i] - zero_point) * scale;
}

}  // namespace smidgen::kernels
