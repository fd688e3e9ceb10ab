#include "kernels/pool/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kAverageVariants = {
    AverageVariant{"qu8_average_portable", Isa::kPortable, qu8_average_portable},
#if SMIDGEN_X86
    AverageVariant{"qu8_average_avx2", Isa::kAvx2, qu8_average_avx2},
    AverageVariant{"qu8_average_avx512vnni", Isa::kAvx512Vnni, qu8_average_avx512vnni},
#endif
};

constexpr std::array kMaximumVariants = {
    MaximumVariant{"u8_maximum_portable", Isa::kPortable, u8_maximum_portable},
#if SMIDGEN_X86
    MaximumVariant{"u8_maximum_avx2", Isa::kAvx2, u8_maximum_avx2},
    MaximumVariant{"u8_maximum_avx512vnni", Isa::kAvx512Vnni, u8_maximum_avx512vnni},
#endif
};

}  // namespace

std::span<const AverageVariant> average_variants() { return kAverageVariants; }

std::span<const MaximumVariant> maximum_variants() { return kMaximumVariants; }

}  // namespace smidgen::kernels
