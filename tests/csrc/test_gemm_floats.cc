#include <cstring>
#include <vector>

#include "gemm_problem.h"
#include "kernels/gemm/run.h"

namespace smidgen::kernels {
namespace {

/// Runs a product of plain rows that ends with floats.
std::vector<float> run_to_floats(const PackedGemm& packed, const test::Fenced<std::uint8_t>& a,
                                 Index rows, const std::vector<RowQuantization>& quantization,
                                 Fence fence) {
  const Index n = packed.shape.n;
  const test::Fenced<Index> offset(std::vector<Index>{0}, fence);
  const test::Fenced quantizations(quantization, fence);
  test::GuardedBytes out(rows * n * 4, fence);
  const Index row_bytes = packed.shape.k() * packed.choice.main->value_bytes();
  const GemmRows all{.images = 1,
                     .lines = 1,
                     .width = rows,
                     .a = a.data(),
                     .a_pitch = {0, 0, row_bytes},
                     .out = out.data(),
                     .out_pitch = {0, 0, n * 4},
                     .quantization = quantization.empty() ? nullptr : quantizations.data()};
  const Index tiles = tile_count(packed, all);
  run_packed_gemm(packed, {.rows = all,
                           .segments = 1,
                           .segment_offsets = offset.data(),
                           .strip_tiles = tiles,
                           .tiles = {0, tiles},
                           .panels = {0, packed.panels},
                           .end = {quantization.empty() ? GemmEnding::kFloats
                                                        : GemmEnding::kFloatsOfScaledRows}});
  CHECK(out.is_intact([](Index) { return true; }));
  std::vector<float> floats(static_cast<std::size_t>(rows * n));
  std::memcpy(floats.data(), out.data(), floats.size() * 4);
  return floats;
}

/// Compares both endings with floats.
void check_floats(const GemmVariant& variant, const GemmProblem& problem, test::Random& random) {
  const Index m = problem.width;
  test::set_context(variant.name, "m", m, "n", problem.n, "k", problem.k(), "zero_point",
                    problem.zero_point, "data", static_cast<int>(problem.data));
  const Operands operands = make_operands(problem, random);
  const auto float_bias = random.values<float>(problem.n, -50, 50);
  std::vector<RowQuantization> rows;
  for (Index i = 0; i < m; ++i) {
    rows.push_back({0.1F * static_cast<float>(i + 1), static_cast<std::int32_t>(i * 50 % 256)});
  }
  std::vector<float> expected(static_cast<std::size_t>(m * problem.n));
  qu8_qc8w_f32_gemm_reference(unpacked(problem, operands), expected.data());
  std::vector<float> expected_of_scaled(expected.size());
  qu8_qc8w_f32_gemm_of_scaled_rows_reference(unpacked(problem, operands), rows.data(),
                                             float_bias.data(), expected_of_scaled.data());

  const GemmVariant* row = &variant;
  const GemmShape shape{problem.n, 1, problem.k()};
  GemmColumns columns = columns_of(operands, problem);
  test::FencedMemory memory;
  const PackedGemm packed = pack({row, row}, shape, columns, memory);
  columns.float_bias = float_bias;
  columns.a_zero_point = 0;
  const PackedGemm packed_for_scaled = pack({row, row}, shape, columns, memory);
  for (const Fence fence : test::kFences) {
    const auto a = readable(problem, variant, operands.x, fence);
    CHECK(run_to_floats(packed, a, m, {}, fence) == expected);
    CHECK(run_to_floats(packed_for_scaled, a, m, rows, fence) == expected_of_scaled);
  }
}

TEST(every_gemm_kernel_ends_with_floats_that_equal_the_reference) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(5);
    std::size_t turn = 0;
    for (Index m = 1; m <= variant.mr + 1; ++m) {
      for (Index n = 1; n <= variant.nr + 1; ++n, ++turn) {
        check_floats(variant,
                     {.width = m,
                      .n = n,
                      .length = 1 + static_cast<Index>(turn % 19),
                      .zero_point = kZeroPoints[turn % 5],
                      .data = test::kAllData[turn % test::kAllData.size()]},
                     random);
      }
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
