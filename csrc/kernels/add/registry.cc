#include "kernels/add/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    AddVariant{"qu8_add_portable", Isa::kPortable, qu8_add_portable},
#if SMIDGEN_X86
    AddVariant{"qu8_add_avx2", Isa::kAvx2, qu8_add_avx2},
    AddVariant{"qu8_add_avx512vnni", Isa::kAvx512Vnni, qu8_add_avx512vnni},
#endif
};

}  // namespace

std::span<const AddVariant> add_variants() { return kVariants; }

}  // namespace smidgen::kernels
