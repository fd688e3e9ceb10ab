#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/peak/peak.h"

namespace smidgen::kernels {

struct PeakVariant {
  std::string_view name;
  Isa isa;
  int products;  // multiply-accumulates of one dot product
  PeakKernel kernel;
};

/// One kernel for each level that has vectors of bytes; the portable one has none.
std::span<const PeakVariant> peak_variants();

}  // namespace smidgen::kernels
