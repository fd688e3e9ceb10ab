#include <immintrin.h>

#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
#include "avxvnni_as_avx512vl.h"
#include "kernels/depthwise_band/band.inc"
#include "kernels/depthwise_band/simd_avxvnni.inc"

namespace smidgen::kernels {
namespace {

template <int kKernel, int kStride>
void run(const DepthwiseBand& band) noexcept {
  run_band<AvxVnni, kKernel, kStride, AvxVnni::kLines>(band);
}

}  // namespace

ReencodedBands depthwise_bands_avxvnni_as_avx512vl() {
  return {{{3, 1, run<3, 1>},
           {3, 2, run<3, 2>},
           {5, 1, run<5, 1>},
           {5, 2, run<5, 2>},
           {7, 1, run<7, 1>},
           {7, 2, run<7, 2>}}};
}

}  // namespace smidgen::kernels
