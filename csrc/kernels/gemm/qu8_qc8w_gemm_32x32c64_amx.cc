#include <immintrin.h>

#include "kernels/gemm/amx.inc"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/simd_avx512vnni.inc"

namespace smidgen::kernels {

void qu8_qc8w_gemm_32x32c64_amx(const GemmBlock& block) noexcept { run_amx<Avx512Vnni, 2>(block); }

}  // namespace smidgen::kernels
