#include <immintrin.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/rows.inc"
#include "kernels/attention/simd_avx512vnni.inc"

namespace smidgen::kernels {

void qu8_attention_avx512vnni(const AttentionRows& rows) noexcept {
  run_attention<Avx512Vnni>(rows);
}

}  // namespace smidgen::kernels
