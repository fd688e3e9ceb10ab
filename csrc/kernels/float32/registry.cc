#include "kernels/float32/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kUnary = {
    Float32Variant<UnaryKernel>{"f32_unary_portable", Isa::kPortable, f32_unary_portable},
#if SMIDGEN_X86
    Float32Variant<UnaryKernel>{"f32_unary_avx2", Isa::kAvx2, f32_unary_avx2},
    Float32Variant<UnaryKernel>{"f32_unary_avx512vnni", Isa::kAvx512Vnni, f32_unary_avx512vnni},
#endif
};

constexpr std::array kBinary = {
    Float32Variant<BinaryKernel>{"f32_binary_portable", Isa::kPortable, f32_binary_portable},
#if SMIDGEN_X86
    Float32Variant<BinaryKernel>{"f32_binary_avx2", Isa::kAvx2, f32_binary_avx2},
    Float32Variant<BinaryKernel>{"f32_binary_avx512vnni", Isa::kAvx512Vnni, f32_binary_avx512vnni},
#endif
};

constexpr std::array kReduce = {
    Float32Variant<ReduceKernel>{"f32_reduce_portable", Isa::kPortable, f32_reduce_portable},
#if SMIDGEN_X86
    Float32Variant<ReduceKernel>{"f32_reduce_avx2", Isa::kAvx2, f32_reduce_avx2},
    Float32Variant<ReduceKernel>{"f32_reduce_avx512vnni", Isa::kAvx512Vnni, f32_reduce_avx512vnni},
#endif
};

constexpr std::array kSoftmax = {
    Float32Variant<SoftmaxKernel>{"f32_softmax_portable", Isa::kPortable, f32_softmax_portable},
#if SMIDGEN_X86
    Float32Variant<SoftmaxKernel>{"f32_softmax_avx2", Isa::kAvx2, f32_softmax_avx2},
    Float32Variant<SoftmaxKernel>{"f32_softmax_avx512vnni", Isa::kAvx512Vnni,
                                  f32_softmax_avx512vnni},
#endif
};

constexpr std::array kLayerNorm = {
    Float32Variant<LayerNormKernel>{"f32_layer_norm_portable", Isa::kPortable,
                                    f32_layer_norm_portable},
#if SMIDGEN_X86
    Float32Variant<LayerNormKernel>{"f32_layer_norm_avx2", Isa::kAvx2, f32_layer_norm_avx2},
    Float32Variant<LayerNormKernel>{"f32_layer_norm_avx512vnni", Isa::kAvx512Vnni,
                                    f32_layer_norm_avx512vnni},
#endif
};

constexpr std::array kScaleRow = {
    Float32Variant<ScaleRowKernel>{"s8_f32_scale_row_portable", Isa::kPortable,
                                   s8_f32_scale_row_portable},
#if SMIDGEN_X86
    Float32Variant<ScaleRowKernel>{"s8_f32_scale_row_avx2", Isa::kAvx2, s8_f32_scale_row_avx2},
#endif
};

constexpr std::array kMatMul = {
    MatMulVariant{"f32_matmul_4x16_portable", Isa::kPortable, 4, 16, f32_matmul_4x16_portable},
#if SMIDGEN_X86
    MatMulVariant{"f32_matmul_6x16_avx2", Isa::kAvx2, 6, 16, f32_matmul_6x16_avx2},
    MatMulVariant{"f32_matmul_6x64_avx512vnni", Isa::kAvx512Vnni, 6, 64,
                  f32_matmul_6x64_avx512vnni},
#endif
};

constexpr std::array kDepthwise = {
    Float32Variant<FloatDepthwiseKernel>{"f32_depthwise_2x16_portable", Isa::kPortable,
                                         f32_depthwise_2x16_portable},
#if SMIDGEN_X86
    Float32Variant<FloatDepthwiseKernel>{"f32_depthwise_4x16_avx2", Isa::kAvx2,
                                         f32_depthwise_4x16_avx2},
    Float32Variant<FloatDepthwiseKernel>{"f32_depthwise_8x16_avx512vnni", Isa::kAvx512Vnni,
                                         f32_depthwise_8x16_avx512vnni},
#endif
};

}  // namespace

std::span<const Float32Variant<UnaryKernel>> unary_variants() { return kUnary; }

std::span<const Float32Variant<BinaryKernel>> binary_variants() { return kBinary; }

std::span<const Float32Variant<ReduceKernel>> reduce_variants() { return kReduce; }

std::span<const Float32Variant<SoftmaxKernel>> softmax_variants() { return kSoftmax; }

std::span<const Float32Variant<LayerNormKernel>> layer_norm_variants() { return kLayerNorm; }

std::span<const Float32Variant<ScaleRowKernel>> scale_row_variants() { return kScaleRow; }

std::span<const MatMulVariant> matmul_variants() { return kMatMul; }

std::span<const Float32Variant<FloatDepthwiseKernel>> float_depthwise_variants() {
  return kDepthwise;
}

}  // namespace smidgen::kernels
