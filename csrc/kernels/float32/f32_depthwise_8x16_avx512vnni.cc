#include "kernels/float32/vector_avx512vnni.inc"

// In the operations of the file above:
#include "kernels/float32/depthwise.inc"

namespace smidgen::kernels {

void f32_depthwise_8x16_avx512vnni(const FloatDepthwiseRows& rows) noexcept { sum_all<8>(rows); }

}  // namespace smidgen::kernels
