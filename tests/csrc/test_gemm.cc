#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <vector>

#include "gemm_problem.h"
#include "kernels/add/add.h"
#include "kernels/conversion_bound.h"
#include "kernels/gemm/run.h"
#include "kernels/lookup/registry.h"
#include "kernels/raised_sums.h"
#include "kernels/select.h"

namespace smidgen::kernels {
namespace {

std::vector<std::uint8_t> expected_rows(const GemmProblem& problem, const Operands& operands) {
  std::vector<std::uint8_t> expected(static_cast<std::size_t>(problem.row_count() * problem.n));
  GemmOperands line = unpacked(problem, operands);
  for (Index at = 0; at < problem.images * problem.lines; ++at) {
    qu8_qc8w_gemm_reference(line, problem.range, expected.data() + at * problem.width * problem.n,
                            problem.n);
    line.a += problem.line_values();
  }
  return expected;
}

constexpr AddScales kSum = {7, 131, 0.75F, 1.25F, {-100, 120, 110}};
// Both zero points are 0 and all bytes may be, which has an ending of its own.
constexpr AddScales kFullSum = {7, 0, 0.7312345F, 1.2654321F, {0, 255, 0}};

const AddScales& sum_of(const GemmProblem& problem) {
  return problem.range.zero_point == 0 ? kFullSum : kSum;
}

/// Adds `addend` [rows][n] to the product's rows.
void add_to(std::vector<std::uint8_t>& rows, const GemmProblem& problem,
            const std::vector<std::uint8_t>& addend) {
  AddScales scales = sum_of(problem);
  scales.lhs_zero_point = problem.range.zero_point;
  qu8_add_portable({.rows = problem.row_count(),
                    .count = problem.n,
                    .lhs = rows.data(),
                    .lhs_stride = problem.n,
                    .rhs = addend.data(),
                    .rhs_stride = problem.n,
                    .out = rows.data(),
                    .out_stride = problem.n},
                   scales);
}

GemmAddend addend_of(const GemmProblem& problem) {
  const AddScales& sum = sum_of(problem);
  return {problem.range.low, problem.range.high, sum.lhs_multiplier, sum.rhs_multiplier,
          sum.rhs_zero_point};
}

/// A table that confuses no two bytes.
std::vector<std::uint8_t> lookup_table() {
  std::vector<std::uint8_t> table(256);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<std::uint8_t>(37 * i + 11);
  return table;
}

/// Runs all tiles in strips of `strip_tiles` (all if 0) with each array against a fence, and
/// compares bytes and gaps.
void check_run(const PackedGemm& packed, const GemmProblem& problem, const Operands& operands,
               const std::vector<std::uint8_t>& addend, Index strip_tiles,
               const std::vector<std::uint8_t>& expected, Fence fence) {
  const GemmVariant& main = *packed.choice.main;
  const test::Fenced<std::uint8_t> a = readable(problem, main, operands.x, fence);
  std::vector<Index> offsets;
  for (Index i = 0; i < problem.segments; ++i) {
    offsets.push_back(i * problem.length * main.value_bytes());
  }
  const test::Fenced segment_offsets(offsets, fence);
  test::GuardedBytes out(
      test::extent_of_rows(problem.images * problem.lines, problem.out_line(),
                           test::extent_of_rows(problem.width, problem.out_row(), problem.n)),
      fence);
  // Kernels may read a panel's columns of the addend beyond the last.
  const Index rest = problem.n % main.nr;
  const test::Fenced added(addend, fence, rest == 0 ? 0 : packed.choice.tail->nr - rest);
  const Index line = problem.line_values() * main.value_bytes();
  const GemmRows rows = GemmRows{
      .images = problem.images,
      .lines = problem.lines,
      .width = problem.width,
      .a = a.data(),
      .a_pitch = {problem.lines * line, line, problem.row_values() * main.value_bytes()},
      .out = out.data(),
      .out_pitch = {problem.lines * problem.out_line(), problem.out_line(), problem.out_row()},
      .addend = problem.has_addend ? added.data() : nullptr,
      .addend_pitch = {
          problem.lines * problem.width * problem.n, problem.width * problem.n,
          problem.n}}.joined();
  const Index tiles = tile_count(packed, rows);
  const GemmAddend scales = addend_of(problem);
  const test::Fenced table(lookup_table(), fence);
  const GemmLookup lookup{table.data(), best_variant(lookup_variants(), main.isa).kernel};
  run_packed_gemm(
      packed,
      {.rows = rows,
       .segments = problem.segments,
       .segment_offsets = segment_offsets.data(),
       .strip_tiles = strip_tiles == 0 ? tiles : strip_tiles,
       .tiles = {0, tiles},
       .panels = {0, packed.panels},
       .end = {.ending = problem.has_addend ? GemmEnding::kBytesWithAddend : GemmEnding::kBytes,
               .range = problem.has_addend ? sum_of(problem).range : problem.range,
               .addend = problem.has_addend ? &scales : nullptr,
               .lookup = problem.has_lookup ? &lookup : nullptr}});
  const auto is_output = [&](Index i) {
    const Index in_line = i % problem.out_line();
    return in_line < problem.width * problem.out_row() && in_line % problem.out_row() < problem.n;
  };
  CHECK(out.is_intact(is_output));
  for (Index row = 0; row < problem.row_count(); ++row) {
    const Index first =
        row / problem.width * problem.out_line() + row % problem.width * problem.out_row();
    for (Index j = 0; j < problem.n; ++j) {
      CHECK_EQUAL(out[first + j], expected[static_cast<std::size_t>(row * problem.n + j)]);
    }
  }
}

void check_choice(const GemmChoice& choice, const GemmProblem& problem, Index strip_tiles,
                  test::Random& random) {
  test::set_context(choice.main->name, "images", problem.images, "lines", problem.lines, "width",
                    problem.width, "n", problem.n, "segments", problem.segments, "length",
                    problem.length, "gap", problem.gap, "skipped", problem.skipped, "zero_point",
                    problem.zero_point, "data", static_cast<int>(problem.data), "addend",
                    problem.has_addend, "lookup", problem.has_lookup);
  const Operands operands = make_operands(problem, random);
  const GemmColumns columns = columns_of(operands, problem);
  CHECK(level_for(Isa::kAvx2, columns) == Isa::kAvx2);
  test::FencedMemory memory;
  const PackedGemm packed =
      pack(choice, {problem.n, problem.segments, problem.length}, columns, memory);
  const auto addend = random.values<std::uint8_t>(problem.row_count() * problem.n, 0, 255);
  std::vector<std::uint8_t> expected = expected_rows(problem, operands);
  if (problem.has_addend) add_to(expected, problem, addend);
  if (problem.has_lookup) {
    const std::vector<std::uint8_t> table = lookup_table();
    for (std::uint8_t& value : expected) value = table[value];
  }
  for (const Fence fence : test::kFences) {
    check_run(packed, problem, operands, addend, strip_tiles, expected, fence);
  }
}

void check_problem(const GemmVariant& variant, const GemmProblem& problem, test::Random& random) {
  const GemmVariant* row = &variant;
  check_choice({row, row}, problem, 0, random);
}

constexpr std::array<OutputRange, 6> kRanges = {
    OutputRange{-128, 127, 128}, OutputRange{0, 255, 0},      OutputRange{-3, 40, 10},
    OutputRange{-1, 254, 1},     OutputRange{-127, 128, 127}, OutputRange{-255, 0, 255}};

TEST(every_gemm_kernel_equals_the_reference_at_every_tile_edge) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(1);
    std::size_t turn = 0;
    for (Index m = 1; m <= 2 * variant.mr + 1; ++m) {
      for (Index n = 1; n <= 2 * variant.nr + 1; ++n, ++turn) {
        check_problem(variant,
                      {.width = m,
                       .n = n,
                       .length = 1 + static_cast<Index>(turn % 19),
                       .gap = static_cast<Index>(turn % 5),
                       .zero_point = kZeroPoints[turn % 5],
                       .range = kRanges[turn % 6],
                       .has_addend = turn / 6 % 3 == 1,
                       .has_lookup = turn / 6 % 3 == 2},
                      random);
      }
    }
  }
}

TEST(every_gemm_kernel_equals_the_reference_for_every_depth) {
  std::vector<Index> depths = {127, 128, 129, 1023};
  for (Index k = 1; k <= 70; ++k) depths.push_back(k);
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(2);
    std::size_t turn = 0;
    for (const Index k : depths) {
      for (const Index m : {Index{1}, variant.mr, variant.mr + 1}) {
        for (const Index n : {Index{1}, variant.nr, variant.nr + 1}) {
          ++turn;
          check_problem(variant,
                        {.width = m,
                         .n = n,
                         .length = k,
                         .zero_point = kZeroPoints[turn % 5],
                         .range = kRanges[turn % 6],
                         .has_addend = turn / 6 % 2 == 1},
                        random);
        }
      }
    }
  }
}

TEST(every_gemm_kernel_equals_the_reference_for_all_zero_points_and_data) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(6);
    std::size_t turn = 0;
    for (const Data data : test::kAllData) {
      for (const std::int32_t zero_point : kZeroPoints) {
        for (const Index k : {1, 2, 3, 4, 5, 63, 64, 65, 128, 1023}) {
          ++turn;
          check_problem(variant,
                        {.width = variant.mr + 1,
                         .n = variant.nr + 3,
                         .length = k,
                         .zero_point = zero_point,
                         .data = data,
                         .range = kRanges[turn % 6],
                         .has_addend = turn / 6 % 3 == 1},
                        random);
        }
      }
    }
  }
}

TEST(rows_may_be_pixels_of_images_in_segments) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(3);
    int turn = 0;
    for (const Index width : {Index{1}, Index{2}, Index{3}, Index{7}, Index{8}, Index{15}}) {
      for (const Index lines : {Index{1}, Index{2}, Index{5}}) {
        for (const Index segments : {Index{1}, Index{3}, Index{7}}) {
          const auto at = static_cast<std::size_t>(turn++);
          check_problem(variant,
                        {.images = 1 + turn % 3,
                         .lines = lines,
                         .width = width,
                         .n = 1 + 13 * turn % (2 * variant.nr + 1),
                         .segments = segments,
                         .length = 1 + turn % 23,
                         .gap = turn % 7,
                         .zero_point = kZeroPoints[at % 5],
                         .range = kRanges[at % 6],
                         .has_addend = turn % 4 == 1},
                        random);
        }
      }
    }
  }
}

TEST(tiles_may_run_on_over_the_ends_of_lines) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(7);
    int turn = 0;
    for (const Index width : {Index{1}, Index{2}, Index{5}, Index{7}, Index{14}, Index{29}}) {
      for (const Index skipped : {Index{1}, Index{2}, Index{3}, Index{9}}) {
        for (const Index lines : {Index{1}, Index{2}, Index{7}, Index{13}}) {
          const auto at = static_cast<std::size_t>(turn++);
          check_problem(variant,
                        {.images = 1 + turn % 2,
                         .lines = lines,
                         .width = width,
                         .n = 1 + 13 * turn % (2 * variant.nr + 1),
                         .segments = 1 + turn % 3,
                         .length = 1 + turn % 23,
                         .gap = turn % 2,
                         .skipped = skipped,
                         .zero_point = kZeroPoints[at % 5],
                         .range = kRanges[at % 6],
                         .has_addend = turn % 4 == 1,
                         .has_lookup = turn % 4 == 2},
                        random);
        }
      }
    }
  }
}

TEST(every_choice_of_kernels_gives_the_same_in_strips_of_any_height) {
  for (const Isa isa : available_isas()) {
    test::Random random(4);
    for (Index n = 1; n <= 140; n += 3) {
      for (const Index rows : {Index{1}, Index{3}, Index{60}}) {
        const GemmChoice choice = choose_gemm(isa, {n, 1, 12}, rows);
        CHECK(choice.main != nullptr && choice.main->isa == choice.tail->isa);
        CHECK(choice.tail->nr >= n % choice.main->nr);
        CHECK(choice.tail->mr >= choice.main->mr && choice.tail->depth == choice.main->depth);
        CHECK_EQUAL(choice.tail->padded(12), choice.main->padded(12));
        check_choice(choice,
                     {.width = rows,
                      .n = n,
                      .length = 12,
                      .zero_point = 9,
                      .range = kRanges[0],
                      .has_lookup = n % 2 == 1},
                     n % 4, random);
      }
    }
  }
}

#if SMIDGEN_X86
TEST(half_a_vector_of_columns_is_left_to_the_kernel_of_pairs_where_segments_stay_as_long) {
  // Kernels that the CPU cannot run are never chosen.
  if (std::ranges::count(available_isas(), Isa::kAvx512Vnni) == 0) return;
  const GemmChoice even = choose_gemm(Isa::kAvx512Vnni, {24, 1, 144}, 1024);
  CHECK_EQUAL(even.main->nr, 16);
  CHECK_EQUAL(even.tail->nr, 8);
  const GemmChoice odd = choose_gemm(Isa::kAvx512Vnni, {24, 1, 148}, 1024);
  CHECK_EQUAL(odd.tail->adjacent, odd.main->adjacent);
  CHECK_EQUAL(odd.tail->padded(148), odd.main->padded(148));
}

// Seven rows are tiles of four and three either way. With sums of three vectors a row none waits
// for its last product.
TEST(lines_of_seven_come_in_tiles_of_four_at_the_level_of_avx_vnni) {
  if (std::ranges::count(available_isas(), Isa::kAvxVnni) == 0) return;
  CHECK_EQUAL(choose_gemm(Isa::kAvxVnni, {512, 3, 1536}, 7).main->nr, 24);
  CHECK_EQUAL(choose_gemm(Isa::kAvxVnni, {512, 1, 2048}, 1008).main->nr, 16);
}

// A last panel was reckoned in tiles of its own height, though it comes in those of the others: 16
// columns ran in tiles of 14 rows, which take a quarter longer than those of 28.
TEST(columns_of_half_a_panel_come_in_the_highest_tiles) {
  if (std::ranges::count(available_isas(), Isa::kAvx512Vnni) == 0) return;
  for (const Index n : {Index{8}, Index{16}}) {
    CHECK_EQUAL(choose_gemm(Isa::kAvx512Vnni, {n, 1, 32}, 12544).main->mr, 28);
  }
}
#endif

TEST(sums_that_no_int32_could_hold_once_scaled_go_to_the_portable_kernel) {
  const std::vector<std::int8_t> w(8, 127);
  const std::vector<float> multipliers = {1.0F, 5000.0F};
  // 4 * 127 * 255 = 129,540 at most in each column, and 129,540 * 16,578 = 2^31.
  const std::vector<std::int32_t> none = {0, 0};
  const std::vector<float> much = {1.0F, 16600.0F};
  CHECK(level_for(Isa::kAvx2, {w, none, multipliers, 0}) == Isa::kAvx2);
  CHECK(level_for(Isa::kAvx2, {w, none, much, 0}) == Isa::kPortable);
  const std::vector<std::int32_t> bias = {0, -400000};
  CHECK(level_for(Isa::kAvx2, {w, bias, multipliers, 0}) == Isa::kPortable);
}

std::uint8_t byte_of(std::int32_t sum, float multiplier) {
  const float rounded = std::rint(static_cast<float>(sum) * multiplier);
  return static_cast<std::uint8_t>(std::min(std::max(rounded, 0.0F), 255.0F));
}

std::uint8_t byte_of_raised(std::int32_t sum, float multiplier) {
  const auto raised = std::bit_cast<float>(sum + kRaise);
  const float rounded = std::rint(std::fma(raised, multiplier, lowering(multiplier)));
  CHECK(std::fabs(rounded) < 2147483648.0F);  // as the kernels convert it to int32
  return static_cast<std::uint8_t>(std::min(std::max(rounded, 0.0F), 255.0F));
}

TEST(raised_sums_give_the_bytes_of_converted_ones_wherever_they_may_be_raised) {
  test::Random random(8);
  constexpr std::int32_t kLimit = 1 << 23;
  int raised = 0;
  for (int turn = 0; turn < 200'000; ++turn) {
    const auto exponent = static_cast<int>(random.between(-40, 9));
    const auto mantissa = static_cast<float>(random.between(1 << 23, (1 << 24) - 1));
    const float multiplier = std::ldexp(mantissa, exponent - 23);
    const std::int64_t most = std::int64_t{1} << random.between(1, 30);
    const auto largest = static_cast<double>(most);
    if (!may_be_raised(largest, multiplier) || !converts_to_int32(largest, multiplier)) continue;
    ++raised;
    const std::int64_t near_limit = random.between(0, 1) * kLimit + random.between(-300, 300);
    for (const std::int64_t wanted :
         {most, -most, random.between(-most, most), near_limit, random.between(-3, 3)}) {
      const auto sum = static_cast<std::int32_t>(std::clamp(wanted, -most, most));
      test::set_context("sum", sum, "multiplier", multiplier);
      CHECK_EQUAL(byte_of_raised(sum, multiplier), byte_of(sum, multiplier));
    }
  }
  CHECK(raised > 50'000);
}

TEST(sums_beyond_a_floats_integers_are_raised_only_where_they_end_at_the_largest_byte) {
  CHECK(may_be_raised(8388607.0, 1e-9F));
  CHECK(may_be_raised(9e6, 0x1P-15F));
  CHECK(!may_be_raised(9e6, 0x1.FFFFFEP-16F));
  CHECK(!may_be_raised(2e9, 0x1P-15F));
  CHECK(!may_be_raised(100.0, 256.0F));
  CHECK(!may_be_raised(100.0, -1.0F));
}

}  // namespace
}  // namespace smidgen::kernels
