#include "kernels/float32/vector_avx512vnni.inc"

// In the operations of the file above:
#include "kernels/float32/matmul.inc"

namespace smidgen::kernels {

void f32_matmul_6x64_avx512vnni(const MatMulTile& tile) noexcept { multiply_rows<6, 4>(tile); }

}  // namespace smidgen::kernels
