#include "kernels/gemm/pack.h"

#include <cmath>

#include "kernels/conversion_bound.h"
#include "kernels/raised_sums.h"

namespace smidgen::kernels {
namespace {

template <typename T>
std::span<const T> slice(std::span<const T> values, Index first, Index count) {
  return values.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
}

std::int64_t sum_of(std::span<const std::int8_t> weights) {
  std::int64_t sum = 0;
  for (const std::int8_t weight : weights) sum += weight;
  return sum;
}

/// Bias and zero-point correction.
std::int64_t fold_zero_point(const GemmColumns& column) {
  return column.bias.front() - column.a_zero_point * sum_of(column.weights);
}

/// No sum is larger in magnitude, whatever the rows hold.
double largest_sum(const GemmColumns& column) {
  constexpr double kLargestValue = 255.0;
  Index magnitude = 0;
  for (const std::int8_t weight : column.weights) magnitude += std::abs(weight);
  return std::fabs(static_cast<double>(fold_zero_point(column))) +
         kLargestValue * static_cast<double>(magnitude);
}

bool can_raise(const GemmChoice& choice, const GemmColumns& columns) {
  if (choice.main->isa == Isa::kPortable || !columns.float_bias.empty()) return false;
  for (Index j = 0; j < static_cast<Index>(columns.bias.size()); ++j) {
    const GemmColumns column = columns.part(j, 1);
    if (!may_be_raised(largest_sum(column), column.multipliers.front())) return false;
  }
  return true;
}

/// Writes column j of a panel of a variant.
void pack_column(const GemmVariant& variant, const GemmShape& shape,
                 std::span<const std::int8_t> column, Index j, std::int8_t* panel) {
  const Index together = variant.adjacent * variant.depth;
  for (Index segment = 0; segment < shape.segments; ++segment) {
    std::int8_t* own = panel + segment * variant.padded(shape.length) * variant.nr + j * together;
    for (Index i = 0; i < shape.length; ++i) {
      own[i / together * variant.nr * together + i % together] =
          column[static_cast<std::size_t>(segment * shape.length + i)];
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
    if (!converts_to_int32(largest_sum(column), column.multipliers.front())) return Isa::kPortable;
  }
  return level;
}

PackedGemm pack_gemm(const GemmChoice& choice, const GemmShape& shape, const GemmColumns& columns) {
  const Index nr = choice.main->nr;
  const Index rest = shape.n % nr;
  const Index width = shape.n - rest + (rest == 0 ? 0 : choice.tail->nr);
  const Index k_groups = choice.main->groups(shape);
  const Index raised = can_raise(choice, columns) ? width : 0;
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
    std::int8_t* panel = packed.weights.as<std::int8_t>() + j / nr * packed.panel_bytes();
    pack_column(j < shape.n - rest ? *choice.main : *choice.tail, shape, column.weights, j % nr,
                panel);
    // Modulo 2^32, as the kernels accumulate.
    packed.bias2.as<std::int32_t>()[j] = static_cast<std::int32_t>(fold_zero_point(column));
    packed.multipliers.as<float>()[j] = column.multipliers.front();
    if (packed.can_raise()) {
      packed.raised_bias2.as<std::int32_t>()[j] =
          static_cast<std::int32_t>(fold_zero_point(column) + kRaise);
      packed.lowerings.as<float>()[j] = lowering(column.multipliers.front());
    }
    if (column.float_bias.empty()) continue;
    packed.column_sums.as<std::int32_t>()[j] = static_cast<std::int32_t>(sum_of(column.weights));
    packed.float_bias.as<float>()[j] = column.float_bias.front();
  }
  return packed;
}

}  // namespace smidgen::kernels
