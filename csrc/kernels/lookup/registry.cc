#include "kernels/lookup/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    LookupVariant{"u8_lookup_portable", Isa::kPortable, u8_lookup_portable},
#if SMIDGEN_X86
    LookupVariant{"u8_lookup_avx2", Isa::kAvx2, u8_lookup_avx2},
    LookupVariant{"u8_lookup_avx512vbmi", Isa::kAvx512Vbmi, u8_lookup_avx512vbmi},
#endif
};

}  // namespace

std::span<const LookupVariant> lookup_variants() { return kVariants; }

}  // namespace smidgen::kernels
