#include <immintrin.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/tile_avx512vnni.inc"

namespace smidgen::kernels {

void qu8_qc8w_gemm_6x64c4_avx512vnni(const GemmTile& tile) noexcept { run_up_to_6_rows<4>(tile); }

}  // namespace smidgen::kernels
