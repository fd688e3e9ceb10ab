#include "kernels/simd/ymm.inc"
// The kernel is written on these vectors.
#include "kernels/resize/bilinear.inc"

namespace smidgen::kernels {

void u8_bilinear_avx2(const BilinearRow& row) noexcept { interpolate_row(row); }

}  // namespace smidgen::kernels
