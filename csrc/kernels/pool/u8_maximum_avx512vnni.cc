#include "kernels/simd/zmm.inc"
// The kernel is written on these vectors.
#include "kernels/pool/maximum.inc"

namespace smidgen::kernels {

void u8_maximum_avx512vnni(const PoolRun& run) noexcept { find_maxima_of_any(run); }

}  // namespace smidgen::kernels
