#include "kernels/float32/vector_avx2.inc"

// In the operations of the file above:
#include "kernels/float32/binary.inc"

namespace smidgen::kernels {

void f32_binary_avx2(const BinaryArrays& arrays) noexcept { binary(arrays); }

}  // namespace smidgen::kernels
