#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/lookup/lookup.h"

namespace smidgen::kernels {

struct LookupVariant {
  std::string_view name;
  Isa isa;
  LookupKernel kernel;
};

/// Every kernel of this kind that this build has.
std::span<const LookupVariant> lookup_variants();

}  // namespace smidgen::kernels
