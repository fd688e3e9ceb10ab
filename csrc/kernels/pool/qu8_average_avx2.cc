#include "kernels/simd/ymm.inc"
// The division is written on these vectors,
#include "kernels/simd/divide_ymm.inc"
// and the kernel on both.
#include "kernels/pool/average.inc"

namespace smidgen::kernels {

void qu8_average_avx2(const PoolRun& run, const AverageScaling& scaling) noexcept {
  average(run, scaling);
}

}  // namespace smidgen::kernels
