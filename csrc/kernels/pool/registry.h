#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/pool/pool.h"

namespace smidgen::kernels {

struct AverageVariant {
  std::string_view name;
  Isa isa;
  AverageKernel kernel;
};

/// Every kernel of this kind that this build has.
std::span<const AverageVariant> average_variants();

struct MaximumVariant {
  std::string_view name;
  Isa isa;
  MaximumKernel kernel;
};

/// Every kernel of this kind that this build has.
std::span<const MaximumVariant> maximum_variants();

}  // namespace smidgen::kernels
