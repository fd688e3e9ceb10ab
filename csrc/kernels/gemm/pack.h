#pragma once

#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "base/shape.h"
#include "kernels/gemm/registry.h"

namespace smidgen::kernels {

/// The columns of one product, unpacked.
struct GemmColumns {
  std::span<const std::int8_t> weights;  // [n][segments][length]
  std::span<const std::int32_t> bias;    // [n]
  std::span<const float> multipliers;    // [n]
  std::int32_t a_zero_point;
  std::span<const float> float_bias = {};  // [n] for rows with scales of their own, else empty

  /// Columns [first, first + count).
  GemmColumns part(Index first, Index count) const;
};

/// The weights of one matrix product as the chosen kernels read them.
struct PackedGemm {
  GemmChoice choice;
  GemmShape shape;
  Index k_groups;  // groups of four bytes of a row, of all segments
  Index panels;
  AlignedBuffer weights;      // panels of [k_groups][nr][depth] int8; nr is main's, but in the last
  AlignedBuffer bias2;        // [columns rounded up to nr] int32
  AlignedBuffer multipliers;  // [columns rounded up to nr] float32
  AlignedBuffer raised_bias2;  // as many int32, and
  AlignedBuffer lowerings;     // as many float32, if all sums may be raised, see raised_sums.h
  AlignedBuffer column_sums;   // as many int32, and
  AlignedBuffer float_bias;    // as many float32, for rows with scales of their own

  /// Whether segments may be read as several of `length` values each: no kernel's groups lie
  /// across.
  bool may_cut_segments(Index length) const {
    const bool has_tail = shape.n % choice.main->nr != 0;
    return choice.main->padded(length) == length &&
           (!has_tail || choice.tail->padded(length) == length);
  }

  bool can_raise() const { return lowerings.size() > 0; }
  Index panel_bytes() const { return k_groups * choice.main->nr * choice.main->depth; }
};

/// The level whose kernels may make bytes of these columns: `level`, or portable unless every
/// |float(acc) * multiplier| stays below 2^31 whatever the rows hold.
Isa level_for(Isa level, const GemmColumns& columns);

/// Packs columns; the zero point of `a` goes into the bias.
PackedGemm pack_gemm(const GemmChoice& choice, const GemmShape& shape, const GemmColumns& columns);

}  // namespace smidgen::kernels
