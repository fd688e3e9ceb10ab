#include "kernels/simd/zmm.inc"
// Bits are written on these vectors,
#include "kernels/fake_quantize/bits_zmm.inc"
// and the kernels on both.
#include "kernels/fake_quantize/fake_quantize.inc"

namespace smidgen::kernels {

void f32_fake_quantize_avx512vnni(std::ptrdiff_t count, const float* x,
                                  const FakeQuantizeRange& range, float* out,
                                  std::uint8_t* bits) noexcept {
  fake_quantize(count, x, range, out, bits);
}

void f32_pass_gradient_avx512vnni(std::ptrdiff_t count, const float* gradient,
                                  const std::uint8_t* bits, float* out) noexcept {
  pass_gradient(count, gradient, bits, out);
}

ValueRange f32_value_range_avx512vnni(std::ptrdiff_t count, const float* x) noexcept {
  return value_range(count, x);
}

}  // namespace smidgen::kernels
