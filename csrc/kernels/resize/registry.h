#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/resize/resize.h"

namespace smidgen::kernels {

struct BilinearVariant {
  std::string_view name;
  Isa isa;
  BilinearKernel kernel;
};

/// Every kernel of this kind that this build has.
std::span<const BilinearVariant> bilinear_variants();

}  // namespace smidgen::kernels
