#include "kernels/float32/vector_avx2.inc"

// In the operations of the file above:
#include "kernels/float32/depthwise.inc"

namespace smidgen::kernels {

void f32_depthwise_4x16_avx2(const FloatDepthwiseRows& rows) noexcept { sum_all<4>(rows); }

}  // namespace smidgen::kernels
