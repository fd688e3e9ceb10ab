#include <immintrin.h>

#include "kernels/depthwise_band/band.inc"
#include "kernels/depthwise_band/depthwise_band.h"
#include "kernels/depthwise_band/simd_avxvnni.inc"

namespace smidgen::kernels {

void qu8_qc8w_depthwise_7s1_32_avxvnni(const DepthwiseBand& band) noexcept {
  run_band<AvxVnni, 7, 1, AvxVnni::kLines>(band);
}

void qu8_qc8w_depthwise_7s2_32_avxvnni(const DepthwiseBand& band) noexcept {
  run_band<AvxVnni, 7, 2, AvxVnni::kLines>(band);
}

}  // namespace smidgen::kernels
