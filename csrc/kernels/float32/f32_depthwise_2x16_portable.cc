#include "kernels/float32/vector_portable.inc"

// In the operations of the file above:
#include "kernels/float32/depthwise.inc"

namespace smidgen::kernels {

void f32_depthwise_2x16_portable(const FloatDepthwiseRows& rows) noexcept { sum_all<2>(rows); }

}  // namespace smidgen::kernels
