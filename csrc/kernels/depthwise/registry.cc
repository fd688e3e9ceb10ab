#include "kernels/depthwise/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    DepthwiseVariant{"qu8_qc8w_depthwise_16c1_portable", Isa::kPortable, 16, 1, 1,
                     qu8_qc8w_depthwise_16c1_portable},
#if SMIDGEN_X86
    DepthwiseVariant{"qu8_qc8w_depthwise_16c2_avx2", Isa::kAvx2, 16, 2, 2,
                     qu8_qc8w_depthwise_16c2_avx2},
    DepthwiseVariant{"qu8_qc8w_depthwise_32c4_avxvnni", Isa::kAvxVnni, 32, 4, 2,
                     qu8_qc8w_depthwise_32c4_avxvnni},
    DepthwiseVariant{"qu8_qc8w_depthwise_64c4_avx512vnni", Isa::kAvx512Vnni, 64, 4, 4,
                     qu8_qc8w_depthwise_64c4_avx512vnni},
#endif
};

}  // namespace

std::span<const DepthwiseVariant> depthwise_variants() { return kVariants; }

}  // namespace smidgen::kernels
