#pragma once

#include "kernels/depthwise/depthwise.h"
#include "kernels/gemm/gemm.h"

// The AVX-VNNI kernels compiled to the AVX-512VL encoding of the same instruction, so that machines
// that have only the latter can test them.

namespace smidgen::kernels {

void gemm_6x16c4_avxvnni_as_avx512vl(const GemmTile& tile) noexcept;
void depthwise_32c4_avxvnni_as_avx512vl(const DepthwiseRow& row) noexcept;

}  // namespace smidgen::kernels
