#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/layout/layout.h"

namespace smidgen::kernels {

struct TransposeVariant {
  std::string_view name;
  Isa isa;
  TransposeKernel kernel;
};

/// Every kernel of this kind that this build has.
std::span<const TransposeVariant> transpose_variants();

}  // namespace smidgen::kernels
