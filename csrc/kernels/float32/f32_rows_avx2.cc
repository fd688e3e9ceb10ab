#include "kernels/float32/vector_avx2.inc"

// In the operations of the file above:
#include "kernels/float32/elementary.inc"
#include "kernels/float32/rows.inc"

namespace smidgen::kernels {

void f32_reduce_avx2(const ReducedRows& rows) noexcept { reduce(rows); }

void f32_softmax_avx2(const SoftmaxRows& rows) noexcept { softmax(rows); }

void f32_layer_norm_avx2(const LayerNormRows& rows) noexcept { layer_norm(rows); }

}  // namespace smidgen::kernels
