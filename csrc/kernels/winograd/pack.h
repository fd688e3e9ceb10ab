#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/aligned_buffer.h"
#include "base/shape.h"
#include "kernels/winograd/registry.h"

namespace smidgen::kernels {

/// The transformed weights of one convolution. What ends its sums lies with the product that
/// computes them by the definition, see PackedGemm.
struct PackedWinograd {
  const WinogradVariant* variant;
  Index channels;
  Index columns;
  AlignedBuffer weights;  // int16, see WinogradBlock
};

/// Bytes of the transformed weights.
Index winograd_bytes(const WinogradVariant& variant, Index channels, Index columns);

/// Transforms weights [columns][3 * 3][channels]. Nothing if the channels do not fit the variant,
/// or if some input could make a sum that is too large for winograd.h.
std::optional<PackedWinograd> pack_winograd(const WinogradVariant& variant, Index channels,
                                            std::span<const std::int8_t> weights);

}  // namespace smidgen::kernels
