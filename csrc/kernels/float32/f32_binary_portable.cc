#include "kernels/float32/vector_portable.inc"

// In the operations of the file above:
#include "kernels/float32/binary.inc"

namespace smidgen::kernels {

void f32_binary_portable(const BinaryArrays& arrays) noexcept { binary(arrays); }

}  // namespace smidgen::kernels
