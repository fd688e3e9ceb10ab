#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/aligned_buffer.h"
#include "kernels/depthwise_band/registry.h"

namespace smidgen::kernels {

/// One filter a channel, as docs/arithmetic.md has it.
struct DepthwiseFilters {
  Index channels;
  Index kernel_lines;
  Index kernel_columns;
  std::span<const std::int8_t> weights;  // [channels][kernel_lines][kernel_columns]
  std::span<const std::int32_t> bias;    // [channels]
  std::span<const float> multipliers;    // [channels]
  std::int32_t x_zero_point;

  Index taps() const { return kernel_lines * kernel_columns; }
};

/// Filters as the kernels of the family read them; see DepthwiseBand.
struct PackedDepthwiseBand {
  const DepthwiseBandVariant* variant;
  Index blocks;
  Index rests;  // in the last block, see DepthwiseBand
  AlignedBuffer weights;
  AlignedBuffer bias2;
  AlignedBuffer multipliers;
  AlignedBuffer lowerings;  // if bias2 raises the sums, see raised_sums.h; else empty

  bool is_raised() const { return lowerings.size() > 0; }
};

/// The width, in values, at which the rest of a pixel behind its whole blocks is packed, as often
/// as a block holds it.
Index rest_width(const DepthwiseBandVariant& variant, Index channels);

/// Packs filters for runs over one pixel's channels or, if `repeats`, over pixels without gaps, and
/// for raised sums if `range` and what can be proved of the sums allow it. Nothing if the kernels'
/// demand on |float(acc) * multiplier| cannot be proved.
std::optional<PackedDepthwiseBand> pack_depthwise_band(const DepthwiseBandVariant& variant,
                                                       const DepthwiseFilters& filters,
                                                       const ByteRange& range, bool repeats);

}  // namespace smidgen::kernels
