#include "kernels/simd/zmm.inc"
// The kernel is written on these vectors.
#include "kernels/resize/bilinear.inc"

namespace smidgen::kernels {

void u8_bilinear_avx512vnni(const BilinearRow& row) noexcept { interpolate_row(row); }

}  // namespace smidgen::kernels
