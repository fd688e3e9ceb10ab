#pragma once

#include <algorithm>

#include "base/partition.h"
#include "kernels/gemm/run.h"

namespace smidgen::ops {

/// The order in which a matrix product is computed: one of an operator's candidates.
struct ProductOrder {
  bool splits_panels;  // whether parts share the panels of weights out, rather than the rows
  Index strip_bytes;   // of rows, and of all that they are read with and become, for all panels

  static int count(int parts) { return parts == 1 ? 3 : 4; }

  /// Candidate `index`. By default the larger of weights and rows is shared out, so that each core
  /// streams a part of it.
  static ProductOrder at(int index, int parts, bool are_weights_larger) {
    // Half of the second-level cache, what other data leave of it, and most of the first.
    constexpr Index kStrips[] = {512 * 1024, 128 * 1024, 32 * 1024};
    const bool is_other_split = parts > 1 && index % 2 == 1;
    const int strip = parts > 1 ? index / 2 * 2 : index;
    return {.splits_panels = parts > 1 && are_weights_larger != is_other_split,
            .strip_bytes = kStrips[strip]};
  }

  /// Takes the rows instead if some parts would get no panel, and more of them if there are fewer
  /// tiles of rows than panels.
  void limit_panels(Index panels, Index tiles, int parts) {
    if (panels < parts && panels < tiles) splits_panels = false;
  }

  /// Tiles of a strip, out of `tiles` that touch `bytes` in all.
  Index strip_tiles(Index tiles, Index bytes) const {
    return std::max(Index{1}, tiles / ceil_div(bytes, strip_bytes));
  }
};

}  // namespace smidgen::ops
