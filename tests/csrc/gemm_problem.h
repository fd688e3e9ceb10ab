#pragma once

#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/gemm/pack.h"
#include "kernels/gemm/reference.h"
#include "product_data.h"

#if SMIDGEN_X86
#include "avxvnni_as_avx512vl.h"
#endif

// What the tests of matrix products share.

namespace smidgen::kernels {

using test::Data;
using test::Fence;
using test::kZeroPoints;

/// Rows of `segments` runs of `length` values, as pixels of images whose lines and pixels may have
/// gaps between them.
struct GemmProblem {
  Index images = 1;
  Index lines = 1;
  Index width = 1;
  Index n = 1;
  Index segments = 1;
  Index length = 1;
  Index gap = 0;      // values between rows, and half as many more between lines
  Index skipped = 0;  // rows between lines
  std::int32_t zero_point = 0;
  Data data = Data::kRandom;
  OutputRange range{};
  bool has_addend = false;
  bool has_lookup = false;

  Index k() const { return segments * length; }
  Index row_values() const { return k() + gap; }
  Index line_values() const { return (width + skipped) * row_values() + gap / 2; }
  Index out_row() const { return n + gap % 3; }
  Index out_line() const { return width * out_row() + gap % 4; }
  Index row_count() const { return images * lines * width; }
};

inline std::vector<GemmVariant> runnable_variants() {
  std::vector<GemmVariant> variants;
  for (const GemmVariant& variant : gemm_variants()) {
    if (cpu_has(variant.isa)) variants.push_back(variant);
  }
#if SMIDGEN_X86
  if (cpu_has(Isa::kAvx512Vnni)) {
    variants.push_back({"gemm_6x16c4_avxvnni_as_avx512vl", Isa::kAvxVnni, 6, 16, 4, 1, 1, false,
                        gemm_6x16c4_avxvnni_as_avx512vl});
    variants.push_back({"gemm_4x24c4_avxvnni_as_avx512vl", Isa::kAvxVnni, 4, 24, 4, 1, 1, false,
                        gemm_4x24c4_avxvnni_as_avx512vl});
  }
#endif
  return variants;
}

using Operands = test::ProductData;  // x: all lines, with their gaps

inline Operands make_operands(const GemmProblem& problem, test::Random& random) {
  return test::ProductFiller(problem.data, problem.zero_point, random)
      .fill(problem.images * problem.lines * problem.line_values(), problem.n, problem.k());
}

/// Values up to that behind the last row's last, widened if need be, and what a kernel may read
/// behind them: what fills up the last segment.
inline test::Fenced<std::uint8_t> readable(const GemmProblem& problem, const GemmVariant& variant,
                                           const std::vector<std::uint8_t>& values, Fence fence) {
  const Index unread = problem.gap + problem.gap / 2 + problem.skipped * problem.row_values();
  const Index count = static_cast<Index>(values.size()) - unread;
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count * variant.value_bytes()));
  for (Index i = 0; i < count; ++i) {
    bytes[static_cast<std::size_t>(i * variant.value_bytes())] =
        values[static_cast<std::size_t>(i)];
  }
  const Index rest = variant.padded(problem.length) - problem.length;
  return test::Fenced(bytes, fence, rest * variant.value_bytes());
}

/// Packs columns into arrays that end at fences.
inline PackedGemm pack(const GemmChoice& choice, const GemmShape& shape, const GemmColumns& columns,
                       test::FencedMemory& memory) {
  PackedGemm packed = pack_gemm(choice, shape, columns);
  for (AlignedBuffer* array :
       {&packed.weights, &packed.bias2, &packed.multipliers, &packed.raised_bias2,
        &packed.lowerings, &packed.column_sums, &packed.float_bias}) {
    memory.enclose(*array);
  }
  return packed;
}

inline GemmColumns columns_of(const Operands& operands, const GemmProblem& problem) {
  return {operands.weights, operands.bias, operands.multipliers, problem.zero_point};
}

inline GemmOperands unpacked(const GemmProblem& problem, const Operands& operands) {
  return {.m = problem.width,
          .n = problem.n,
          .k = problem.k(),
          .a = operands.x.data(),
          .a_stride = problem.row_values(),
          .w = operands.weights.data(),
          .bias = operands.bias.data(),
          .multipliers = operands.multipliers.data(),
          .a_zero_point = problem.zero_point};
}

}  // namespace smidgen::kernels
