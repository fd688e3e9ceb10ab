#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/float32/float32.h"

namespace smidgen::kernels {

template <typename Kernel>
struct Float32Variant {
  std::string_view name;
  Isa isa;
  Kernel kernel;
};

struct MatMulVariant {
  std::string_view name;
  Isa isa;
  std::ptrdiff_t mr;  // rows and columns of the largest tile
  std::ptrdiff_t nr;
  MatMulKernel kernel;
};

// Every kernel of each kind that this build has.
std::span<const Float32Variant<UnaryKernel>> unary_variants();
std::span<const Float32Variant<BinaryKernel>> binary_variants();
std::span<const Float32Variant<ReduceKernel>> reduce_variants();
std::span<const Float32Variant<SoftmaxKernel>> softmax_variants();
std::span<const Float32Variant<LayerNormKernel>> layer_norm_variants();
std::span<const Float32Variant<ScaleRowKernel>> scale_row_variants();
std::span<const MatMulVariant> matmul_variants();
std::span<const Float32Variant<FloatDepthwiseKernel>> float_depthwise_variants();

}  // namespace smidgen::kernels
