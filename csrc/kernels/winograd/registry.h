#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "base/shape.h"
#include "kernels/winograd/winograd.h"

namespace smidgen::kernels {

struct WinogradVariant {
  std::string_view name;
  Isa isa;
  Index mr;        // tiles of 4x4 outputs that are multiplied at a time
  Index nr;        // columns of a packed panel
  Index channels;  // the input's number of channels is a multiple of it
  WinogradKernel kernel;
};

/// Every kernel of the family that this build has.
std::span<const WinogradVariant> winograd_variants();

/// The kernel of a level, or null where matrix products by the definition are as fast: at the
/// portable level, and where a matrix unit multiplies bytes.
const WinogradVariant* winograd_for(Isa level);

}  // namespace smidgen::kernels
