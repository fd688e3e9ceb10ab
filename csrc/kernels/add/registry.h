#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/add/add.h"

namespace smidgen::kernels {

struct AddVariant {
  std::string_view name;
  Isa isa;
  AddKernel kernel;
};

/// Every kernel of this kind that this build has.
std::span<const AddVariant> add_variants();

}  // namespace smidgen::kernels
