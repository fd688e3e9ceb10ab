#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "base/shape.h"
#include "kernels/depthwise/depthwise.h"

namespace smidgen::kernels {

/// A kernel and how its packed blocks are laid out. Interleaving bytes works within 128-bit lanes,
/// so a block of `lanes` lanes holds at position [q][lane][e], e < 4, the channel lane * (block /
/// lanes) + 4 * q + e.
struct DepthwiseVariant {
  std::string_view name;
  Isa isa;
  Index block;  // channels of a block
  Index group;  // taps that are multiplied together
  Index lanes;
  DepthwiseKernel kernel;
};

/// Every kernel of the family that this build has.
std::span<const DepthwiseVariant> depthwise_variants();

}  // namespace smidgen::kernels
