#include "kernels/gemm/pack.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/conversion_bound.h"
#include "kernels/raised_sums.h"

namespace smidgen::kernels {
namespace {

template <typename T>
std::span<const T> slice(std::span<const T> values, Index first, Index count) {
  return values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

/// What packing needs to know of one column.
struct ColumnSums {
  std::int64_t weights;
  std::int64_t magnitudes;

  explicit ColumnSums(std::span<const std::int8_t> column) : weights(0), magnitudes(0) {
    // Short sums in 32 bits, which the compiler turns into vectors.
    constexpr std::size_t kAtOnce = 1 << 16;
    for (std::size_t begin = 0; begin < column.size(); begin += kAtOnce) {
      std::int32_t sum = 0;
      std::int32_t magnitude = 0;
      for (const std::int8_t weight :
           column.subspan(begin, std::min(kAtOnce, column.size() - begin))) {
        sum += weight;
        magnitude += std::abs(weight);
      }
      weights += sum;
      magnitudes += magnitude;
    }
  }

  /// Bias and zero-point correction.
  std::int64_t fold_zero_point(const GemmColumns& column) const {
    return column.bias.front() - column.a_zero_point * weights;
  }

  /// No sum is larger in magnitude, whatever the rows hold.
  double largest(const GemmColumns& column) const {
    constexpr double kLargestValue = 255.0;
    return std::fabs(static_cast<double>(fold_zero_point(column))) +
           kLargestValue * static_cast<double>(magnitudes);
  }
};

std::vector<ColumnSums> sums_of(const GemmColumns& columns) {
  std::vector<ColumnSums> sums;
  sums.reserve(columns.bias.size());
  for (Index j = 0; j < static_cast<Index>(columns.bias.size()); ++j) {
    sums.emplace_back(columns.part(j, 1).weights);
  }
  return sums;
}

bool can_raise(const GemmChoice& choice, const GemmColumns& columns,
               std::span<const ColumnSums> sums) {
  if (choice.main->isa == Isa::kPortable || !columns.float_bias.empty()) return false;
  for (Index j = 0; j < static_cast<Index>(columns.bias.size()); ++j) {
    const GemmColumns column = columns.part(j, 1);
    const double largest = sums[static_cast<std::size_t>(j)].largest(column);
    if (!may_be_raised(largest, column.multipliers.front())) return false;
  }
  return true;
}

/// Writes column j of a panel of a variant.
void pack_column(const GemmVariant& variant, const GemmShape& shape,
                 std::span<const std::int8_t> column, Index j, std::int8_t* panel) {
  const Index together = variant.adjacent * variant.depth;
  for (Index segment = 0; segment < shape.segments; ++segment) {
    std::int8_t* own = panel + segment * variant.padded(shape.length) * variant.nr + j * together;
    const std::int8_t* values = column.data() + segment * shape.length;
    for (Index i = 0; i < shape.length; i += together, own += variant.nr * together) {
      std::memcpy(own, values + i, static_cast<std::size_t>(std::min(together, shape.length - i)));
    }
  }
}

}  // namespace

GemmColumns GemmColumns::part(Index first, Index count) const {
  const auto k = static_cast<Index>(weights.size() / bias.size());
  return {slice(weights, first * k, count * k), slice(bias, first, count),
          slice(multipliers, first, count), a_zero_point,
          float_bias.empty() ? float_bias : slice(float_bias, first, count)};
}

Isa level_for(Isa level, const GemmColumns& columns) {
  for (Index j = 0; j < static_cast<Index>(columns.bias.size()); ++j) {
    const GemmColumns column = columns.part(j, 1);
    const double largest = ColumnSums(column.weights).largest(column);
    if (!converts_to_int32(largest, column.multipliers.front())) return Isa::kPortable;
  }
  return level;
}

PackedGemm pack_gemm(const GemmChoice& choice, const GemmShape& shape, const GemmColumns& columns) {
  const Index nr = choice.main->nr;
  const Index rest = shape.n % nr;
  const Index width = shape.n - rest + (rest == 0 ? 0 : choice.tail->nr);
  const Index k_groups = choice.main->groups(shape);
  const std::vector<ColumnSums> sums = sums_of(columns);
  const Index raised = can_raise(choice, columns, sums) ? width : 0;
  PackedGemm packed{choice,
                    shape,
                    k_groups,
                    ceil_div(shape.n, nr),
                    AlignedBuffer(width * k_groups * choice.main->depth),
                    AlignedBuffer(width * 4),
                    AlignedBuffer(width * 4),
                    AlignedBuffer(raised * 4),
                    AlignedBuffer(raised * 4),
                    AlignedBuffer(columns.float_bias.empty() ? 0 : width * 4),
                    AlignedBuffer(columns.float_bias.empty() ? 0 : width * 4)};
  for (Index j = 0; j < shape.n; ++j) {
    const GemmColumns column = columns.part(j, 1);
    const ColumnSums& own = sums[static_cast<std::size_t>(j)];
    const std::int64_t folded = own.fold_zero_point(column);
    std::int8_t* panel = packed.weights.as<std::int8_t>() + j / nr * packed.panel_bytes();
    pack_column(j < shape.n - rest ? *choice.main : *choice.tail, shape, column.weights, j % nr,
                panel);
    // Modulo 2^32, as the kernels accumulate.
    packed.bias2.as<std::int32_t>()[j] = static_cast<std::int32_t>(folded);
    packed.multipliers.as<float>()[j] = column.multipliers.front();
    if (packed.can_raise()) {
      packed.raised_bias2.as<std::int32_t>()[j] = static_cast<std::int32_t>(folded + kRaise);
      packed.lowerings.as<float>()[j] = lowering(column.multipliers.front());
    }
    if (column.float_bias.empty()) continue;
    packed.column_sums.as<std::int32_t>()[j] = static_cast<std::int32_t>(own.weights);
    packed.float_bias.as<float>()[j] = column.float_bias.front();
  }
  return packed;
}

}  // namespace smidgen::kernels
