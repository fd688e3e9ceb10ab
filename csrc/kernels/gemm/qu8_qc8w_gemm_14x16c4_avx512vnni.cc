#include <immintrin.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/tile_avx512vnni.inc"

namespace smidgen::kernels {

void qu8_qc8w_gemm_14x16c4_avx512vnni(const GemmTile& tile) noexcept { run_up_to_14_rows<1>(tile); }

}  // namespace smidgen::kernels
