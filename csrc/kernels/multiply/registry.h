#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/multiply/multiply.h"

namespace smidgen::kernels {

struct MultiplyVariant {
  std::string_view name;
  Isa isa;
  MultiplyKernel kernel;
};

/// Every kernel of this kind that this build has.
std::span<const MultiplyVariant> multiply_variants();

}  // namespace smidgen::kernels
