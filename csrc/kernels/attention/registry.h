#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/attention/attention.h"

namespace smidgen::kernels {

struct AttentionVariant {
  std::string_view name;
  Isa isa;
  AttentionKernel kernel;
  PackKeysKernel pack_keys;
  PackValuesKernel pack_values;
};

/// Every kernel of the family that this build has.
std::span<const AttentionVariant> attention_variants();

}  // namespace smidgen::kernels
