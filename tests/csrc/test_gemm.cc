#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/add/add.h"
#include "kernels/gemm/reference.h"
#include "kernels/gemm/run.h"

#if SMIDGEN_X86
#include "avxvnni_as_avx512vl.h"
#endif

namespace smidgen::kernels {
namespace {

enum class Data : std::uint8_t { kRandom, kExtreme, kAlternating };

/// Rows of `segments` runs of `length` values, as pixels of images whose lines and pixels may have
/// gaps between them.
struct Problem {
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

  Index k() const { return segments * length; }
  Index row_values() const { return k() + gap; }
  Index line_values() const { return (width + skipped) * row_values() + gap / 2; }
  Index out_row() const { return n + gap % 3; }
  Index out_line() const { return width * out_row() + gap % 4; }
  Index row_count() const { return images * lines * width; }
};

std::vector<GemmVariant> runnable_variants() {
  std::vector<GemmVariant> variants;
  for (const GemmVariant& variant : gemm_variants()) {
    if (cpu_has(variant.isa)) variants.push_back(variant);
  }
#if SMIDGEN_X86
  if (cpu_has(Isa::kAvx512Vnni)) {
    variants.push_back({"gemm_6x16c4_avxvnni_as_avx512vl", Isa::kAvxVnni, 6, 16, 4, 1, false,
                        gemm_6x16c4_avxvnni_as_avx512vl});
  }
#endif
  return variants;
}

struct Operands {
  std::vector<std::uint8_t> a;  // all lines, with their gaps
  std::vector<std::int8_t> w;
  std::vector<std::int32_t> bias;
  std::vector<float> multipliers;
};

Operands make_operands(const Problem& problem, test::Random& random) {
  Operands operands{
      random.values<std::uint8_t>(problem.images * problem.lines * problem.line_values(), 0, 255),
      random.values<std::int8_t>(problem.n * problem.k(), -128, 127),
      random.values<std::int32_t>(problem.n, -100000, 100000),
      std::vector<float>(static_cast<std::size_t>(problem.n))};
  if (problem.data != Data::kRandom) std::ranges::fill(operands.a, std::uint8_t{255});
  for (std::size_t i = 0; i < operands.w.size() && problem.data != Data::kRandom; ++i) {
    const bool flip = problem.data == Data::kAlternating && i % 2 == 1;
    operands.w[i] = static_cast<std::int8_t>(flip ? 127 : -128);
  }
  // Halves give ties; the second is of the usual size; the third exceeds 1.
  const std::array<float, 3> choices = {0.5F, 255.0F / (16129.0F * static_cast<float>(problem.k())),
                                        1.5F};
  for (float& multiplier : operands.multipliers) {
    multiplier = choices[static_cast<std::size_t>(random.between(0, 2))];
  }
  return operands;
}

/// What a kernel may read and not a byte more, so that the sanitizer sees any read beyond: the
/// values widened if need be, and the last group filled up.
std::vector<std::uint8_t> readable(const Problem& problem, const GemmVariant& variant,
                                   const std::vector<std::uint8_t>& values) {
  // Behind the last row.
  const Index unread = problem.gap + problem.gap / 2 + problem.skipped * problem.row_values();
  const Index count =
      static_cast<Index>(values.size()) - unread + variant.padded(problem.length) - problem.length;
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(count * variant.value_bytes()));
  for (Index i = 0; i < std::min(count, static_cast<Index>(values.size())); ++i) {
    bytes[static_cast<std::size_t>(i * variant.value_bytes())] =
        values[static_cast<std::size_t>(i)];
  }
  return bytes;
}

GemmColumns columns_of(const Operands& operands, const Problem& problem) {
  return {operands.w, operands.bias, operands.multipliers, problem.zero_point};
}

GemmOperands unpacked(const Problem& problem, const Operands& operands) {
  return {.m = problem.width,
          .n = problem.n,
          .k = problem.k(),
          .a = operands.a.data(),
          .a_stride = problem.row_values(),
          .w = operands.w.data(),
          .bias = operands.bias.data(),
          .multipliers = operands.multipliers.data(),
          .a_zero_point = problem.zero_point};
}

std::vector<std::uint8_t> expected_rows(const Problem& problem, const Operands& operands) {
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

/// Adds `addend` [rows][n] to the product's rows.
void add_to(std::vector<std::uint8_t>& rows, const Problem& problem,
            const std::vector<std::uint8_t>& addend) {
  AddScales scales = kSum;
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

/// Runs all tiles in strips of `strip_tiles` (all if 0) and compares bytes and gaps.
void check_choice(const GemmChoice& choice, const Problem& problem, Index strip_tiles,
                  test::Random& random) {
  test::set_context(choice.main->name, "images", problem.images, "lines", problem.lines, "width",
                    problem.width, "n", problem.n, "segments", problem.segments, "length",
                    problem.length, "gap", problem.gap, "skipped", problem.skipped, "zero_point",
                    problem.zero_point, "addend", problem.has_addend);
  const Operands operands = make_operands(problem, random);
  const GemmColumns columns = columns_of(operands, problem);
  CHECK(level_for(Isa::kAvx2, columns) == Isa::kAvx2);
  const PackedGemm packed =
      pack_gemm(choice, {problem.n, problem.segments, problem.length}, columns);
  const std::vector<std::uint8_t> a = readable(problem, *choice.main, operands.a);
  const Index value_bytes = choice.main->value_bytes();
  std::vector<Index> offsets;
  for (Index i = 0; i < problem.segments; ++i) offsets.push_back(i * problem.length * value_bytes);
  test::GuardedBytes out(problem.images * problem.lines * problem.out_line());
  // Kernels may read a panel's columns of the addend beyond the last.
  const auto addend = random.values<std::uint8_t>(problem.row_count() * problem.n + kSlack, 0, 255);
  const Index line = problem.line_values() * value_bytes;
  const GemmRows rows = GemmRows{
      .images = problem.images,
      .lines = problem.lines,
      .width = problem.width,
      .a = a.data(),
      .a_pitch = {problem.lines * line, line, problem.row_values() * value_bytes},
      .out = out.data(),
      .out_pitch = {problem.lines * problem.out_line(), problem.out_line(), problem.out_row()},
      .addend = problem.has_addend ? addend.data() : nullptr,
      .addend_pitch = {
          problem.lines * problem.width * problem.n, problem.width * problem.n,
          problem.n}}.joined();
  const Index tiles = tile_count(packed, rows);
  const GemmAddend added{problem.range.low, problem.range.high, kSum.lhs_multiplier,
                         kSum.rhs_multiplier, kSum.rhs_zero_point};
  run_packed_gemm(packed,
                  {.rows = rows,
                   .segments = problem.segments,
                   .segment_offsets = offsets.data(),
                   .strip_tiles = strip_tiles == 0 ? tiles : strip_tiles,
                   .tiles = {0, tiles},
                   .panels = {0, packed.panels},
                   .ending = problem.has_addend ? GemmEnding::kBytesWithAddend : GemmEnding::kBytes,
                   .range = problem.has_addend ? kSum.range : problem.range,
                   .addend = problem.has_addend ? &added : nullptr});

  std::vector<std::uint8_t> expected = expected_rows(problem, operands);
  if (problem.has_addend) add_to(expected, problem, addend);
  const auto row_of = [&](Index i) {
    return i / problem.out_line() * problem.width + i % problem.out_line() / problem.out_row();
  };
  const auto is_output = [&](Index i) {
    const Index in_line = i % problem.out_line();
    return in_line < problem.width * problem.out_row() && in_line % problem.out_row() < problem.n;
  };
  CHECK(out.is_intact(is_output));
  for (Index i = 0; i < problem.images * problem.lines * problem.out_line(); ++i) {
    if (!is_output(i)) continue;
    const Index column = i % problem.out_line() % problem.out_row();
    CHECK_EQUAL(out[i], expected[static_cast<std::size_t>(row_of(i) * problem.n + column)]);
  }
}

void check_problem(const GemmVariant& variant, const Problem& problem, test::Random& random) {
  const GemmVariant* row = &variant;
  check_choice({row, row}, problem, 0, random);
}

constexpr std::array<OutputRange, 3> kRanges = {OutputRange{-128, 127, 128}, OutputRange{0, 255, 0},
                                                OutputRange{-3, 40, 10}};
constexpr std::array<std::int32_t, 5> kZeroPoints = {0, 1, 127, 128, 255};

TEST(every_gemm_kernel_equals_the_reference_at_every_tile_edge) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(1);
    int turn = 0;
    for (Index m = 1; m <= 2 * variant.mr + 1; ++m) {
      for (const Index n :
           {Index{1}, Index{3}, Index{7}, Index{15}, Index{16}, Index{17}, Index{31}, Index{33},
            Index{64}, Index{65}, variant.nr - 1, variant.nr, 2 * variant.nr + 1}) {
        const auto at = static_cast<std::size_t>(turn++);
        check_problem(variant,
                      {.width = m,
                       .n = n,
                       .length = 1 + turn % 19,
                       .gap = turn % 5,
                       .zero_point = kZeroPoints[at % 5],
                       .range = kRanges[at % 3],
                       .has_addend = turn % 2 == 1},
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
    for (const Index k : depths) {
      for (const Data data : {Data::kRandom, Data::kExtreme, Data::kAlternating}) {
        const auto at = static_cast<std::size_t>(k);
        check_problem(variant,
                      {.width = variant.mr,
                       .n = variant.nr,
                       .length = k,
                       .zero_point = kZeroPoints[at % 5],
                       .data = data,
                       .range = kRanges[at % 3]},
                      random);
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
                         .range = kRanges[at % 3],
                         .has_addend = turn % 4 == 1},
                        random);
        }
      }
    }
  }
}

TEST(tiles_may_run_on_over_the_ends_of_lines) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(6);
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
                         .range = kRanges[at % 3],
                         .has_addend = turn % 4 == 1},
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
        check_choice(choice,
                     {.width = rows, .n = n, .length = 12, .zero_point = 9, .range = kRanges[0]},
                     n % 4, random);
      }
    }
  }
}

/// Runs a product of plain rows that ends with floats.
std::vector<float> run_to_floats(const PackedGemm& packed, const std::vector<std::uint8_t>& a,
                                 Index rows, GemmEnding ending,
                                 const RowQuantization* quantization) {
  const Index n = packed.shape.n;
  constexpr Index kNoOffset = 0;
  test::GuardedBytes out(rows * n * 4);
  const Index row_bytes = packed.shape.k() * packed.choice.main->value_bytes();
  const GemmRows all{.images = 1,
                     .lines = 1,
                     .width = rows,
                     .a = a.data(),
                     .a_pitch = {0, 0, row_bytes},
                     .out = out.data(),
                     .out_pitch = {0, 0, n * 4},
                     .quantization = quantization};
  const Index tiles = tile_count(packed, all);
  run_packed_gemm(packed, {.rows = all,
                           .segments = 1,
                           .segment_offsets = &kNoOffset,
                           .strip_tiles = tiles,
                           .tiles = {0, tiles},
                           .panels = {0, packed.panels},
                           .ending = ending});
  CHECK(out.is_intact([](Index) { return true; }));
  std::vector<float> floats(static_cast<std::size_t>(rows * n));
  std::memcpy(floats.data(), out.data(), floats.size() * 4);
  return floats;
}

TEST(every_gemm_kernel_ends_with_floats_that_equal_the_reference) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(5);
    for (Index m = 1; m <= variant.mr + 1; ++m) {
      for (const Index n : {Index{1}, variant.nr - 1, variant.nr, variant.nr + 9}) {
        const Problem problem{.width = m, .n = n, .length = 4 + m % 9, .zero_point = 3};
        test::set_context(variant.name, "m", m, "n", n, "k", problem.k());
        const Operands operands = make_operands(problem, random);
        const auto float_bias = random.values<float>(n, -50, 50);
        std::vector<RowQuantization> rows;
        for (Index i = 0; i < m; ++i) {
          rows.push_back(
              {0.1F * static_cast<float>(i + 1), static_cast<std::int32_t>(i * 50 % 256)});
        }
        GemmColumns columns = columns_of(operands, problem);
        columns.float_bias = float_bias;
        const GemmVariant* row = &variant;
        const GemmShape shape{n, 1, problem.k()};
        const auto a = readable(problem, variant, operands.a);
        std::vector<float> expected(static_cast<std::size_t>(m * n));

        qu8_qc8w_f32_gemm_reference(unpacked(problem, operands), expected.data());
        CHECK(run_to_floats(pack_gemm({row, row}, shape, columns), a, m, GemmEnding::kFloats,
                            nullptr) == expected);

        qu8_qc8w_f32_gemm_of_scaled_rows_reference(unpacked(problem, operands), rows.data(),
                                                   float_bias.data(), expected.data());
        columns.a_zero_point = 0;
        CHECK(run_to_floats(pack_gemm({row, row}, shape, columns), a, m,
                            GemmEnding::kFloatsOfScaledRows, rows.data()) == expected);
      }
    }
  }
}

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

}  // namespace
}  // namespace smidgen::kernels
