#include "kernels/float32/vector_avx512vnni.inc"

// In the operations of the file above:
#include "kernels/float32/elementary.inc"
#include "kernels/float32/rows.inc"

namespace smidgen::kernels {

void f32_reduce_avx512vnni(const ReducedRows& rows) noexcept { reduce(rows); }

void f32_softmax_avx512vnni(const SoftmaxRows& rows) noexcept { softmax(rows); }

void f32_layer_norm_avx512vnni(const LayerNormRows& rows) noexcept { layer_norm(rows); }

}  // namespace smidgen::kernels
