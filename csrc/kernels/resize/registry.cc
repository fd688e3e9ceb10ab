#include "kernels/resize/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    BilinearVariant{"u8_bilinear_portable", Isa::kPortable, u8_bilinear_portable},
#if SMIDGEN_X86
    BilinearVariant{"u8_bilinear_avx2", Isa::kAvx2, u8_bilinear_avx2},
    BilinearVariant{"u8_bilinear_avx512vnni", Isa::kAvx512Vnni, u8_bilinear_avx512vnni},
#endif
};

}  // namespace

std::span<const BilinearVariant> bilinear_variants() { return kVariants; }

}  // namespace smidgen::kernels
