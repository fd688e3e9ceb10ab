#pragma once

#include "kernels/depthwise/depthwise.h"
#include "kernels/depthwise_band/depthwise_band.h"
#include "kernels/gemm/gemm.h"
#include "kernels/winograd/winograd.h"

// The AVX-VNNI kernels compiled to the AVX-512VL encoding of the same instruction, so that machines
// that have only the latter can test them.

namespace smidgen::kernels {

void gemm_6x16c4_avxvnni_as_avx512vl(const GemmBlock& block) noexcept;
void gemm_4x24c4_avxvnni_as_avx512vl(const GemmBlock& block) noexcept;
void winograd_6x16_avxvnni_as_avx512vl(const WinogradBlock& block) noexcept;
void depthwise_32c4_avxvnni_as_avx512vl(const DepthwiseRow& row) noexcept;

struct ReencodedBand {
  std::ptrdiff_t kernel;
  std::ptrdiff_t stride;
  DepthwiseBandKernel run;
};

/// A plain array: no template of the library may be compiled for AVX-512.
struct ReencodedBands {
  ReencodedBand all[6];
};

ReencodedBands depthwise_bands_avxvnni_as_avx512vl();

}  // namespace smidgen::kernels
