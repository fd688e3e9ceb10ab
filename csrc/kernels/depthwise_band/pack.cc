#include "kernels/depthwise_band/pack.h"

#include <cmath>
#include <numeric>

#include "kernels/conversion_bound.h"
#include "kernels/raised_sums.h"

namespace smidgen::kernels {
namespace {

/// One channel's filter with the sums that packing needs.
class Filter {
 public:
  Filter(const DepthwiseFilters& filters, Index channel)
      : columns_(filters.kernel_columns),
        lines_(filters.kernel_lines),
        weights_(filters.weights.subspan(static_cast<std::size_t>(channel * filters.taps()),
                                         static_cast<std::size_t>(filters.taps()))) {
    std::int64_t sum = 0;
    for (const std::int8_t weight : weights_) {
      sum += weight;
      magnitude_ += std::abs(weight);
    }
    bias2_ = filters.bias[static_cast<std::size_t>(channel)] - filters.x_zero_point * sum;
  }

  std::int64_t bias2() const { return bias2_; }

  double largest_sum() const {
    return std::fabs(static_cast<double>(bias2_)) + 255.0 * static_cast<double>(magnitude_);
  }

  /// Zero above and below the window.
  std::int8_t at(Index line, Index column) const {
    if (line < 0 || line >= lines_) return 0;
    return weights_[static_cast<std::size_t>(line * columns_ + column)];
  }

 private:
  Index columns_;
  Index lines_;
  std::span<const std::int8_t> weights_;
  std::int64_t bias2_ = 0;
  std::int64_t magnitude_ = 0;
};

/// Where a value of a block stands after unpacking bytes and words within lanes of 128 bits: vector
/// by vector, four values of each lane in each.
struct Position {
  Index quarter;
  Index lane_value;  // among the block's quarter

  explicit Position(Index value)
      : quarter(value % 16 / 4), lane_value(value / 16 * 4 + value % 4) {}
};

/// A tap of a window.
struct Tap {
  Index line;
  Index column;
};

/// What byte `index` of four is multiplied with in group `group` at column `column`: the lines of
/// the group one below the other, or, where the variant has_beside, its last two of this column and
/// of the next. There even columns have both, and odd ones nothing, but for the last of an odd
/// number, which stands behind the one before.
Tap tap_at(const DepthwiseBandVariant& variant, Index columns, Index column, Index group,
           Index index) {
  constexpr Tap kNone{-1, 0};
  if (!variant.has_beside() || group + 1 < variant.groups()) return {4 * group + index, column};
  const Index line = 4 * group + index % 2;
  if (column % 2 == 1) return kNone;
  if (column + 1 < columns) return {line, column + index / 2};
  return index / 2 == 1 ? Tap{line, column} : kNone;
}

void pack_filter(const Filter& filter, const DepthwiseBandVariant& variant, Index columns,
                 const Position& position, std::int8_t* block) {
  const Index groups = variant.groups();
  const Index shifts = variant.shifts();
  for (Index column = 0; column < columns; ++column) {
    for (Index group = 0; group < groups; ++group) {
      for (Index shift = 0; shift < shifts; ++shift) {
        const Index vector = ((column * 4 + position.quarter) * groups + group) * shifts + shift;
        std::int8_t* four = block + vector * variant.block + position.lane_value * 4;
        for (Index index = 0; index < 4; ++index) {
          const Tap tap = tap_at(variant, columns, column, group, index);
          four[index] = tap.line < 0 ? std::int8_t{0} : filter.at(tap.line - shift, tap.column);
        }
      }
    }
  }
}

/// Whether may(largest sum, multiplier) holds for all channels.
template <typename May>
bool for_all_sums(const DepthwiseFilters& filters, const May& may) {
  for (Index c = 0; c < filters.channels; ++c) {
    const float multiplier = filters.multipliers[static_cast<std::size_t>(c)];
    if (!may(Filter(filters, c).largest_sum(), multiplier)) return false;
  }
  return true;
}

}  // namespace

Index rest_width(const DepthwiseBandVariant& variant, Index channels) {
  const Index rest = channels % variant.block;
  Index width = variant.block;
  while (rest > 0 && width > 16 && rest <= width / 2) width /= 2;
  return width;
}

std::optional<PackedDepthwiseBand> pack_depthwise_band(const DepthwiseBandVariant& variant,
                                                       const DepthwiseFilters& filters,
                                                       const ByteRange& range, bool repeats) {
  if (!for_all_sums(filters, converts_to_int32)) return std::nullopt;
  const bool is_raised = is_full(range) && for_all_sums(filters, may_be_raised);
  const Index block = variant.block;
  const Index blocks =
      repeats ? std::lcm(filters.channels, block) / block : ceil_div(filters.channels, block);
  const Index block_weights =
      filters.kernel_columns * 4 * variant.groups() * variant.shifts() * block;
  const Index width = repeats ? block : rest_width(variant, filters.channels);
  PackedDepthwiseBand packed{&variant,
                             blocks,
                             block / width,
                             AlignedBuffer(blocks * block_weights),
                             AlignedBuffer(blocks * block * 4),
                             AlignedBuffer(blocks * block * 4),
                             AlignedBuffer(is_raised ? blocks * block * 4 : 0)};
  const Index whole = filters.channels / block * block;
  for (Index value = 0; value < blocks * block; ++value) {
    const Index first = value / block * block;
    const Index in_pixel = value < whole ? value : whole + (value - whole) % width;
    const Index channel = repeats ? value % filters.channels : in_pixel;
    if (channel >= filters.channels) continue;
    const Position position(value - first);
    const Filter filter(filters, channel);
    pack_filter(filter, variant, filters.kernel_columns, position,
                packed.weights.as<std::int8_t>() + first / block * block_weights);
    const Index at = first + position.quarter * block / 4 + position.lane_value;
    // Modulo 2^32, as the kernels accumulate.
    packed.bias2.as<std::int32_t>()[at] =
        static_cast<std::int32_t>(filter.bias2() + (is_raised ? kRaise : 0));
    const float multiplier = filters.multipliers[static_cast<std::size_t>(channel)];
    packed.multipliers.as<float>()[at] = multiplier;
    if (is_raised) packed.lowerings.as<float>()[at] = lowering(multiplier);
  }
  return packed;
}

}  // namespace smidgen::kernels
