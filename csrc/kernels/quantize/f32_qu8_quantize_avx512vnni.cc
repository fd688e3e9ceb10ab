#include "kernels/simd/zmm.inc"
// The division is written on these vectors,
#include "kernels/simd/divide_zmm.inc"
// and the kernel on both.
#include "kernels/quantize/quantize.inc"

namespace smidgen::kernels {

void f32_qu8_quantize_avx512vnni(std::ptrdiff_t count, const float* x, const QuantizeScale& scale,
                                 std::uint8_t* out) noexcept {
  quantize(count, x, scale, out);
}

void f32_qu8_quantize_3_planes_avx512vnni(std::ptrdiff_t count, const float* x,
                                          std::ptrdiff_t plane_stride, const QuantizeScale& scale,
                                          std::uint8_t* out) noexcept {
  quantize_3_planes(count, x, plane_stride, scale, out);
}

}  // namespace smidgen::kernels
