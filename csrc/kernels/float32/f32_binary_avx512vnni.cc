#include "kernels/float32/vector_avx512vnni.inc"

// In the operations of the file above:
#include "kernels/float32/binary.inc"

namespace smidgen::kernels {

void f32_binary_avx512vnni(const BinaryArrays& arrays) noexcept { binary(arrays); }

}  // namespace smidgen::kernels
