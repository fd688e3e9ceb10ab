#pragma once

#include <algorithm>

#include "base/partition.h"
#include "kernels/gemm/run.h"

namespace smidgen::ops {

/// The order in which a matrix product is computed: one of an operator's candidates.
struct ProductOrder {
  bool splits_panels;  // whether threads share the panels of weights out, rather than the rows
  Index strip_bytes;   // of rows that all panels read in turn

  static int count(int threads) { return threads == 1 ? 2 : 4; }

  /// Candidate `index`. By default the larger of weights and rows is shared out, so that each core
  /// streams a part of it.
  static ProductOrder at(int index, int threads, bool are_weights_larger) {
    constexpr Index kHalfOfSecondLevel = 512 * 1024;
    constexpr Index kHalfOfFirstLevel = 24 * 1024;
    const bool is_other_split = threads > 1 && index % 2 == 1;
    const int strip = threads > 1 ? index / 2 : index;
    return {.splits_panels = threads > 1 && are_weights_larger != is_other_split,
            .strip_bytes = strip == 0 ? kHalfOfSecondLevel : kHalfOfFirstLevel};
  }

  /// Tiles of a strip, out of `tiles` whose rows are `bytes` long in all.
  Index strip_tiles(Index tiles, Index bytes) const {
    return std::max(Index{1}, tiles / ceil_div(bytes, strip_bytes));
  }
};

}  // namespace smidgen::ops
