#include "kernels/layout/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    TransposeVariant{"u8_transpose_portable", Isa::kPortable, u8_transpose_portable},
};

}  // namespace

std::span<const TransposeVariant> transpose_variants() { return kVariants; }

}  // namespace smidgen::kernels
