#include <immintrin.h>

#include "kernels/gemm/amx.inc"
#include "kernels/gemm/gemm.h"

namespace smidgen::kernels {

void qu8_qc8w_gemm_32x32c64_amx(const GemmBlock& block) noexcept { run_amx<2>(block); }

}  // namespace smidgen::kernels
