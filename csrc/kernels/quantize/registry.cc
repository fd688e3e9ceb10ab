#include "kernels/quantize/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kQuantizeVariants = {
    QuantizeVariant{"f32_qu8_quantize_portable", Isa::kPortable, f32_qu8_quantize_portable,
                    f32_qu8_quantize_3_planes_portable},
#if SMIDGEN_X86
    QuantizeVariant{"f32_qu8_quantize_avx2", Isa::kAvx2, f32_qu8_quantize_avx2,
                    f32_qu8_quantize_3_planes_avx2},
    QuantizeVariant{"f32_qu8_quantize_avx512vnni", Isa::kAvx512Vnni, f32_qu8_quantize_avx512vnni,
                    f32_qu8_quantize_3_planes_avx512vnni},
#endif
};

constexpr std::array kDequantizeVariants = {
    DequantizeVariant{"qu8_f32_dequantize_portable", Isa::kPortable, qu8_f32_dequantize_portable},
#if SMIDGEN_X86
    DequantizeVariant{"qu8_f32_dequantize_avx2", Isa::kAvx2, qu8_f32_dequantize_avx2},
    DequantizeVariant{"qu8_f32_dequantize_avx512vnni", Isa::kAvx512Vnni,
                      qu8_f32_dequantize_avx512vnni},
#endif
};

}  // namespace

std::span<const QuantizeVariant> quantize_variants() { return kQuantizeVariants; }

std::span<const DequantizeVariant> dequantize_variants() { return kDequantizeVariants; }

}  // namespace smidgen::kernels
