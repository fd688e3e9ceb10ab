#pragma once

#include <algorithm>

#include "base/shape.h"

namespace smidgen {

struct Range {
  Index begin;
  Index end;
};

/// Splits [0, total) into `count` contiguous parts, cut at multiples of `grain`; returns part
/// `index`.
constexpr Range partition(Index total, Index grain, int index, int count) {
  const Index grains = ceil_div(total, grain);
  const Index begin = grains * index / count * grain;
  const Index end = grains * (index + 1) / count * grain;
  return {std::min(begin, total), std::min(end, total)};
}

}  // namespace smidgen
