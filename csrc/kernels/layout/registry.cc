#include "kernels/layout/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    TransposeVariant{"u8_transpose_portable", Isa::kPortable, u8_transpose_portable},
#if SMIDGEN_X86
    TransposeVariant{"u8_transpose_avx2", Isa::kAvx2, u8_transpose_avx2},
#endif
};

}  // namespace

std::span<const TransposeVariant> transpose_variants() { return kVariants; }

}  // namespace smidgen::kernels
