#include "kernels/gemm/pack.h"

#include <algorithm>

namespace smidgen::kernels {
namespace {

/// Sum modulo 2^32 of bias and zero-point correction, as the kernels accumulate.
std::int32_t fold_zero_point(std::int32_t bias, std::span<const std::int8_t> column,
                             std::int32_t zero_point) {
  std::int64_t sum = 0;
  for (const std::int8_t weight : column) sum += weight;
  return static_cast<std::int32_t>(static_cast<std::uint64_t>(bias - zero_point * sum));
}

void pack_column(std::span<const std::int8_t> column, Index nr, std::int8_t* out) {
  const auto k = static_cast<Index>(column.size());
  for (Index i = 0; i < k; ++i) {
    out[i / 4 * nr * 4 + i % 4] = column[static_cast<std::size_t>(i)];
  }
}

}  // namespace

PackedGemm pack_gemm(const GemmChoice& choice, Index n, Index k,
                     std::span<const std::int8_t> weights, std::span<const std::int32_t> bias,
                     std::span<const float> multipliers, std::int32_t a_zero_point) {
  const Index nr = choice.main->nr;
  const Index rest = n % nr;
  const Index columns = n - rest + (rest == 0 ? 0 : choice.tail->nr);
  const Index k4 = ceil_div(k, 4);
  PackedGemm packed{choice,
                    n,
                    k,
                    k4,
                    ceil_div(n, nr),
                    AlignedBuffer(columns * k4 * 4),
                    AlignedBuffer(columns * 4),
                    AlignedBuffer(columns * 4)};
  for (Index j = 0; j < n; ++j) {
    const Index panel = j / nr;
    const Index width = j < n - rest ? nr : choice.tail->nr;
    const auto column =
        weights.subspan(static_cast<std::size_t>(j * k), static_cast<std::size_t>(k));
    pack_column(column, width,
                packed.weights.as<std::int8_t>() + panel * packed.panel_bytes() + j % nr * 4);
    const auto at = static_cast<std::size_t>(j);
    packed.bias2.as<std::int32_t>()[j] = fold_zero_point(bias[at], column, a_zero_point);
    packed.multipliers.as<float>()[j] = multipliers[at];
  }
  return packed;
}

void run_packed_gemm(const PackedGemm& packed, const std::uint8_t* a, Index a_stride, Index rows,
                     Index first, Index last, const OutputRange& range, std::uint8_t* out,
                     Index out_stride) noexcept {
  const Index nr = packed.choice.main->nr;
  for (Index panel = first; panel < last; ++panel) {
    const Index column = panel * nr;
    const Index n = std::min(nr, packed.n - column);
    const GemmVariant& variant = n == nr ? *packed.choice.main : *packed.choice.tail;
    // Rows are dealt evenly, since a tile of one row costs nearly as much as one of a few.
    const Index step = ceil_div(rows, ceil_div(rows, variant.mr));
    for (Index row = 0; row < rows; row += step) {
      variant.kernel({.m = std::min(step, rows - row),
                      .n = n,
                      .k4 = packed.k4,
                      .a = a + row * a_stride,
                      .a_stride = a_stride,
                      .weights = packed.weights.as<std::int8_t>() + panel * packed.panel_bytes(),
                      .bias2 = packed.bias2.as<std::int32_t>() + column,
                      .multipliers = packed.multipliers.as<float>() + column,
                      .out = out + row * out_stride + column,
                      .out_stride = out_stride,
                      .range = range});
    }
  }
}

}  // namespace smidgen::kernels
