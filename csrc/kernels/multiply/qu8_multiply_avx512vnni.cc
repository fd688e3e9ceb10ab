#include "kernels/simd/zmm.inc"
// The kernel is written on these vectors.
#include "kernels/multiply/multiply.inc"

namespace smidgen::kernels {

void qu8_multiply_avx512vnni(const MultiplyRows& rows, const MultiplyScales& scales) noexcept {
  multiply_any_rows(rows, scales);
}

}  // namespace smidgen::kernels
