#include "kernels/float32/vector_avx2.inc"

// In the operations of the file above:
#include "kernels/float32/elementary.inc"
#include "kernels/float32/unary.inc"

namespace smidgen::kernels {

void f32_unary_avx2(const UnaryArrays& arrays) noexcept { unary(arrays); }

}  // namespace smidgen::kernels
