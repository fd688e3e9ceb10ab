#include "kernels/simd/ymm.inc"
// The kernel is written on these vectors.
#include "kernels/pool/maximum.inc"

namespace smidgen::kernels {

void u8_maximum_avx2(const PoolRun& run) noexcept { find_maxima_of_any(run); }

}  // namespace smidgen::kernels
