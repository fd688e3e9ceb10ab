#include "kernels/simd/zmm.inc"
// The kernel is written on these vectors.
#include "kernels/quantize/dequantize.inc"

namespace smidgen::kernels {

void qu8_f32_dequantize_avx512vnni(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                                   std::int32_t zero_point, float* out) noexcept {
  dequantize(count, x, scale, zero_point, out);
}

}  // namespace smidgen::kernels
