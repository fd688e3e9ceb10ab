#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "base/shape.h"
#include "kernels/gemm/gemm.h"

namespace smidgen::kernels {

/// Columns of a product, and how its k values lie in a row: `segments` runs of `length` values.
struct GemmShape {
  Index n;
  Index segments;
  Index length;

  Index k() const { return segments * length; }
};

struct GemmVariant {
  std::string_view name;
  Isa isa;
  Index mr;  // largest m of a tile
  Index nr;  // columns of a packed panel
  // Values of a group of four bytes of a row: 4 uint8, or 2 that were widened to int16.
  Index depth;
  Index adjacent;    // groups of a column that lie next to each other in a packed panel
  Index group_step;  // a segment's groups are filled up to a multiple of it; one of `adjacent`
  bool skips_gaps;   // whether its tiles may run on over the ends of lines
  GemmKernel kernel;

  /// Values of a segment with what fills it up.
  Index padded(Index length) const { return round_up(length, depth * group_step); }

  /// Groups of four bytes of a row, of all segments.
  Index groups(const GemmShape& shape) const {
    return shape.segments * padded(shape.length) / depth;
  }

  /// Bytes of one value of a row.
  Index value_bytes() const { return 4 / depth; }
};

/// Every kernel of the family that this build has.
std::span<const GemmVariant> gemm_variants();

/// The kernels of one layer: `main` for full panels and `tail` for the last, narrower one, which
/// takes at least as many rows at a time, the same depth, and segments filled up to the same
/// length.
struct GemmChoice {
  const GemmVariant* main;
  const GemmVariant* tail;
};

/// Chooses by estimated cycles for the number of rows that one call will have.
GemmChoice choose_gemm(Isa level, const GemmShape& shape, Index expected_rows);

}  // namespace smidgen::kernels
