#include <immintrin.h>

#include "kernels/depthwise_band/band.inc"
#include "kernels/depthwise_band/depthwise_band.h"
#include "kernels/depthwise_band/simd_avx512vnni.inc"

namespace smidgen::kernels {

void qu8_qc8w_depthwise_5s1_64_avx512vnni(const DepthwiseBand& band) noexcept {
  run_band<Avx512Vnni, 5, 1, Avx512Vnni::kLines>(band);
}

void qu8_qc8w_depthwise_5s2_64_avx512vnni(const DepthwiseBand& band) noexcept {
  run_band<Avx512Vnni, 5, 2, Avx512Vnni::kLines>(band);
}

}  // namespace smidgen::kernels
