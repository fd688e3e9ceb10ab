#include "kernels/float32/vector_portable.inc"

// In the operations of the file above:
#include "kernels/float32/matmul.inc"

namespace smidgen::kernels {

void f32_matmul_4x16_portable(const MatMulTile& tile) noexcept { multiply_rows<4, 1>(tile); }

}  // namespace smidgen::kernels
