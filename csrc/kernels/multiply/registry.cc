#include "kernels/multiply/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    MultiplyVariant{"qu8_multiply_portable", Isa::kPortable, qu8_multiply_portable},
#if SMIDGEN_X86
    MultiplyVariant{"qu8_multiply_avx2", Isa::kAvx2, qu8_multiply_avx2},
    MultiplyVariant{"qu8_multiply_avx512vnni", Isa::kAvx512Vnni, qu8_multiply_avx512vnni},
#endif
};

}  // namespace

std::span<const MultiplyVariant> multiply_variants() { return kVariants; }

}  // namespace smidgen::kernels
