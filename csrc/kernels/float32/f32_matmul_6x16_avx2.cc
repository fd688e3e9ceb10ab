#include "kernels/float32/vector_avx2.inc"

// In the operations of the file above:
#include "kernels/float32/matmul.inc"

namespace smidgen::kernels {

void f32_matmul_6x16_avx2(const MatMulTile& tile) noexcept { multiply_rows<6, 1>(tile); }

}  // namespace smidgen::kernels
