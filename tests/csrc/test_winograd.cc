#include <algorithm>
#include <array>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/add/add.h"
#include "kernels/gemm/pack.h"
#include "kernels/gemm/reference.h"
#include "kernels/lookup/registry.h"
#include "kernels/select.h"
#include "kernels/winograd/run.h"
#include "layers.h"
#include "product_data.h"

#if SMIDGEN_X86
#include "avxvnni_as_avx512vl.h"
#endif

// Convolutions of 3x3 by fewer products equal the definition, byte for byte.

namespace smidgen::kernels {
namespace {

using test::Data;
using test::Fence;

struct Problem {
  Index images = 1;
  Index lines = 1;  // of the output
  Index width = 1;
  Index channels = 32;
  Index columns = 1;
  Index gap = 0;  // bytes between pixels
  std::int32_t zero_point = 0;
  Data data = Data::kRandom;
  OutputRange range{0, 255, 0};
  bool has_addend = false;
  bool has_lookup = false;

  Index pixel() const { return channels + gap; }
  Index line() const { return (width + 2) * pixel(); }
  Index image() const { return (lines + 2) * line(); }
  Index outputs() const { return images * lines * width; }
  Index out_pixel() const { return columns + gap; }
};

std::vector<WinogradVariant> runnable_variants() {
  std::vector<WinogradVariant> variants;
  for (const WinogradVariant& variant : winograd_variants()) {
    if (cpu_has(variant.isa)) variants.push_back(variant);
  }
#if SMIDGEN_X86
  if (cpu_has(Isa::kAvx512Vnni)) {
    variants.push_back({"winograd_6x16_avxvnni_as_avx512vl", Isa::kAvxVnni, 6, 16, 16,
                        winograd_6x16_avxvnni_as_avx512vl});
  }
#endif
  return variants;
}

/// A kernel of matrix products whose panels are as wide.
const GemmVariant& product_variant(const WinogradVariant& variant) {
  const auto rows = gemm_variants();
  return *std::ranges::find_if(
      rows, [&](const GemmVariant& row) { return row.isa == variant.isa && row.nr == variant.nr; });
}

std::vector<std::uint8_t> expected_outputs(const Problem& problem, const test::ProductData& data) {
  std::vector<std::uint8_t> expected(static_cast<std::size_t>(problem.outputs() * problem.columns));
  std::vector<std::uint8_t> taps(static_cast<std::size_t>(9 * problem.channels));
  for (Index at = 0; at < problem.outputs(); ++at) {
    const Index line = at / problem.width % problem.lines;
    const Index first = at / (problem.lines * problem.width) * problem.image() +
                        line * problem.line() + at % problem.width * problem.pixel();
    for (Index tap = 0; tap < 9; ++tap) {
      std::copy_n(data.x.begin() + first + tap / 3 * problem.line() + tap % 3 * problem.pixel(),
                  problem.channels, taps.begin() + tap * problem.channels);
    }
    qu8_qc8w_gemm_reference({.m = 1,
                             .n = problem.columns,
                             .k = 9 * problem.channels,
                             .a = taps.data(),
                             .a_stride = 9 * problem.channels,
                             .w = data.weights.data(),
                             .bias = data.bias.data(),
                             .multipliers = data.multipliers.data(),
                             .a_zero_point = problem.zero_point},
                            problem.range, expected.data() + at * problem.columns, problem.columns);
  }
  return expected;
}

constexpr AddScales kSum = {7, 131, 0.75F, 1.25F, {-100, 120, 110}};
// Both zero points are 0 and all bytes may be, which has an ending of its own.
constexpr AddScales kFullSum = {7, 0, 0.7312345F, 1.2654321F, {0, 255, 0}};

const AddScales& sum_of(const Problem& problem) {
  return problem.range.zero_point == 0 ? kFullSum : kSum;
}

void add_to(std::vector<std::uint8_t>& outputs, const Problem& problem,
            const std::vector<std::uint8_t>& addend) {
  AddScales scales = sum_of(problem);
  scales.lhs_zero_point = problem.range.zero_point;
  qu8_add_portable({.rows = problem.outputs(),
                    .count = problem.columns,
                    .lhs = outputs.data(),
                    .lhs_stride = problem.columns,
                    .rhs = addend.data(),
                    .rhs_stride = problem.columns,
                    .out = outputs.data(),
                    .out_stride = problem.columns},
                   scales);
}

std::vector<std::uint8_t> lookup_table() {
  std::vector<std::uint8_t> table(256);
  for (std::size_t i = 0; i < table.size(); ++i) table[i] = static_cast<std::uint8_t>(91 * i + 7);
  return table;
}

/// Runs `parts` parts with each array against a fence, and compares bytes and gaps.
void check_run(const PackedWinograd& packed, const PackedGemm& columns, const Problem& problem,
               const test::ProductData& data, const std::vector<std::uint8_t>& addend,
               const std::vector<std::uint8_t>& expected, Fence fence, int parts) {
  const std::vector<std::uint8_t> values(data.x.begin(), data.x.end() - problem.gap);
  const test::Fenced<std::uint8_t> x(values, fence);
  const Index out_line = problem.width * problem.out_pixel();
  test::GuardedBytes out(problem.images * problem.lines * out_line - problem.gap, fence);
  const Index nr = packed.variant->nr;
  const test::Fenced added(addend, fence, round_up(problem.columns, nr) - problem.columns);
  const AddScales& sum = sum_of(problem);
  const GemmAddend scales{problem.range.low, problem.range.high, sum.lhs_multiplier,
                          sum.rhs_multiplier, sum.rhs_zero_point};
  const test::Fenced table(lookup_table(), fence);
  const GemmLookup lookup{table.data(),
                          best_variant(lookup_variants(), packed.variant->isa).kernel};
  const Index added_line = problem.width * problem.columns;
  const GemmRows rows{.images = problem.images,
                      .lines = problem.lines,
                      .width = problem.width,
                      .a = x.data(),
                      .a_pitch = {problem.image(), problem.line(), problem.pixel()},
                      .out = out.data(),
                      .out_pitch = {problem.lines * out_line, out_line, problem.out_pixel()},
                      .addend = problem.has_addend ? added.data() : nullptr,
                      .addend_pitch = {problem.lines * added_line, added_line, problem.columns}};
  test::FencedMemory memory;
  AlignedBuffer scratch = memory.buffer(winograd_scratch_bytes(packed), 0);
  const Index tiles = winograd_tile_count(problem.images, problem.lines, problem.width);
  for (int part = 0; part < parts; ++part) {
    run_packed_winograd(
        packed, columns,
        {.rows = rows,
         .tiles = partition(tiles, 1, part, parts),
         .end = {problem.has_addend ? GemmEnding::kBytesWithAddend : GemmEnding::kBytes,
                 problem.has_addend ? sum_of(problem).range : problem.range,
                 problem.has_addend ? &scales : nullptr, problem.has_lookup ? &lookup : nullptr},
         .scratch = scratch.data()});
  }
  CHECK(out.is_intact([&](Index i) { return i % problem.out_pixel() < problem.columns; }));
  for (Index at = 0; at < problem.outputs(); ++at) {
    for (Index j = 0; j < problem.columns; ++j) {
      CHECK_EQUAL(out[at * problem.out_pixel() + j],
                  expected[static_cast<std::size_t>(at * problem.columns + j)]);
    }
  }
}

void check_problem(const WinogradVariant& variant, const Problem& problem, test::Random& random) {
  test::set_context(variant.name, "images", problem.images, "lines", problem.lines, "width",
                    problem.width, "channels", problem.channels, "columns", problem.columns, "gap",
                    problem.gap, "zero_point", problem.zero_point, "data",
                    static_cast<int>(problem.data), "addend", problem.has_addend, "lookup",
                    problem.has_lookup);
  const test::ProductData data =
      test::ProductFiller(problem.data, problem.zero_point, random)
          .fill(problem.images * problem.image(), problem.columns, 9 * problem.channels);
  const GemmColumns columns{data.weights, data.bias, data.multipliers, problem.zero_point};
  CHECK(level_for(Isa::kAvx2, columns) == Isa::kAvx2);
  std::optional<PackedWinograd> packed = pack_winograd(variant, problem.channels, data.weights);
  CHECK(packed.has_value());
  if (!packed) return;
  const GemmVariant& product = product_variant(variant);
  PackedGemm ends =
      pack_gemm({&product, &product}, {problem.columns, 1, 9 * problem.channels}, columns);
  test::FencedMemory memory;
  for (AlignedBuffer* array :
       {&packed->weights, &ends.bias2, &ends.multipliers, &ends.raised_bias2, &ends.lowerings}) {
    memory.enclose(*array);
  }
  const auto addend = random.values<std::uint8_t>(problem.outputs() * problem.columns, 0, 255);
  std::vector<std::uint8_t> expected = expected_outputs(problem, data);
  if (problem.has_addend) add_to(expected, problem, addend);
  if (problem.has_lookup) {
    const std::vector<std::uint8_t> table = lookup_table();
    for (std::uint8_t& value : expected) value = table[value];
  }
  for (const Fence fence : test::kFences) {
    for (const int parts : {1, 2}) {
      check_run(*packed, ends, problem, data, addend, expected, fence, parts);
    }
  }
}

constexpr std::array<OutputRange, 4> kRanges = {OutputRange{0, 255, 0}, OutputRange{-128, 127, 128},
                                                OutputRange{-3, 40, 10}, OutputRange{-255, 0, 255}};

TEST(every_winograd_kernel_equals_the_definition_at_every_edge_of_a_tile) {
  for (const WinogradVariant& variant : runnable_variants()) {
    test::Random random(31);
    std::size_t turn = 0;
    for (Index lines = 1; lines <= 9; ++lines) {
      for (Index width = 1; width <= 9; ++width, ++turn) {
        check_problem(variant,
                      {.images = 1 + static_cast<Index>(turn % 2),
                       .lines = lines,
                       .width = width,
                       .channels = variant.channels,
                       .columns = 1 + static_cast<Index>(turn * 7) % (variant.nr + 1),
                       .gap = static_cast<Index>(turn % 3),
                       .zero_point = test::kZeroPoints[turn % 5],
                       .range = kRanges[turn % 4],
                       .has_addend = turn % 3 == 1,
                       .has_lookup = turn % 3 == 2},
                      random);
      }
    }
  }
}

TEST(every_winograd_kernel_equals_the_definition_for_every_number_of_tiles) {
  for (const WinogradVariant& variant : runnable_variants()) {
    test::Random random(32);
    for (Index tiles = 1; tiles <= 2 * variant.mr + 4; ++tiles) {
      check_problem(variant,
                    {.lines = 3,
                     .width = 4 * tiles - tiles % 4,
                     .channels = 2 * variant.channels,
                     .columns = variant.nr + tiles % 3,
                     .zero_point = 3,
                     .range = kRanges[static_cast<std::size_t>(tiles % 4)],
                     .has_addend = tiles % 2 == 1},
                    random);
    }
  }
}

TEST(every_winograd_kernel_equals_the_definition_for_all_data) {
  for (const WinogradVariant& variant : runnable_variants()) {
    test::Random random(33);
    std::size_t turn = 0;
    for (const Data data : test::kAllData) {
      for (const std::int32_t zero_point : test::kZeroPoints) {
        ++turn;
        check_problem(variant,
                      {.lines = 5,
                       .width = 6,
                       .channels = variant.channels * (1 + static_cast<Index>(turn % 3)),
                       .columns = 5,
                       .zero_point = zero_point,
                       .data = data,
                       .range = kRanges[turn % 4],
                       .has_addend = turn % 3 == 1},
                      random);
      }
    }
  }
}

/// Packs 3x3 weights of one column, `count` of them -128 or 127 and the others 0.
bool can_pack(Index channels, Index count, std::int8_t extreme) {
  const WinogradVariant& variant = winograd_variants().front();
  std::vector<std::int8_t> weights(static_cast<std::size_t>(9 * channels), 0);
  std::fill_n(weights.begin(), count, extreme);
  return pack_winograd(variant, channels, weights).has_value();
}

TEST(sums_of_more_than_26_bits_are_left_to_the_definition) {
  if (winograd_variants().empty()) return;
  // 255 * 127 * 1036 < 2^25 < 255 * 127 * 1037, and 255 * 128 * 1028 < 2^25 = 255 * 128 * 1028 +
  // 512.
  CHECK(can_pack(128, 1036, 127));
  CHECK(!can_pack(128, 1037, 127));
  CHECK(can_pack(128, 1028, -128));
  CHECK(!can_pack(128, 1029, -128));
  CHECK(!can_pack(17, 1, 1));  // no multiple of the kernel's channels
}

TEST(the_largest_sums_of_26_bits_are_exact) {
  for (const WinogradVariant& variant : runnable_variants()) {
    const Index channels = round_up(116, variant.channels);
    for (const int sign : {-1, 1}) {
      // One column whose weights are as large as packing accepts, and an image of 255.
      test::ProductData data;
      Problem problem{.lines = 4, .width = 4, .channels = channels, .columns = 1};
      data.x.assign(static_cast<std::size_t>(problem.image()), 255);
      data.weights.assign(static_cast<std::size_t>(9 * channels), 0);
      std::fill_n(data.weights.begin(), 1028, static_cast<std::int8_t>(sign * 127));
      const std::int32_t sum = sign * 127 * 1028 * 255;
      data.bias = {100 - sum};
      data.multipliers = {1.0F};
      test::set_context(variant.name, "sign", sign);
      const std::optional<PackedWinograd> packed = pack_winograd(variant, channels, data.weights);
      CHECK(packed.has_value());
      if (!packed) continue;
      const GemmVariant& product = product_variant(variant);
      const PackedGemm ends = pack_gemm({&product, &product}, {1, 1, 9 * channels},
                                        {data.weights, data.bias, data.multipliers, 0});
      const std::vector<std::uint8_t> expected(16, 100);
      for (const Fence fence : test::kFences) {
        check_run(*packed, ends, problem, data, expected, expected, fence, 1);
      }
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels

namespace smidgen::ops {
namespace {

TEST(convolutions_of_3x3_equal_the_definition_with_and_without_fewer_products) {
  test::Random random(34);
  for (std::size_t number = 0; number < 24; ++number) {
    Window window{.kernel = {3, 3}, .stride = {1, 1}, .dilation = {1, 1}};
    for (Index& side : window.padding) side = random.between(0, 2);
    const Index channels = number % 2 == 0 ? 32 : 96;
    const Index outs = 1 + static_cast<Index>(number * 11 % 40);
    const Conv2dGeometry geometry{channels, outs, 1, window};
    Layer layer(outs, 9 * channels, random);
    layer.input.zero_point = test::kZeroPoints[number % 5];
    layer.output.zero_point = number % 3 == 0 ? 0 : 128;
    layer.clamp = number % 3 == 0 ? Clamp{} : Clamp{2, 250};
    const auto fill = static_cast<std::uint8_t>(layer.input.zero_point);
    const Index gap = number % 4 == 0 ? 5 : 0;
    for (const Border& border : {Border{}, border_of(window)}) {
      const Image x({1 + static_cast<Index>(number % 2), channels, 15, 14}, gap, border, fill);
      x.fill_with(random);
      const std::vector<std::uint8_t> expected = ConvolutionReference(x, geometry, layer).outputs();
      const Image out(windowed_shape(x.view.shape, outs, window), gap, {1, 0, 0, 1}, test::kPoison);
      for (const Isa isa : available_isas()) {
        test::set_context(name_of(isa), "number", number, "border", border != Border{});
        const Conv2d op(geometry, layer.view(), isa);
        const std::array<Shape, 1> shapes = {x.view.shape};
        const bool has_fewer = kernels::winograd_for(isa) != nullptr;
        CHECK_EQUAL(op.candidate_count(shapes, 1), ProductOrder::count(1) + (has_fewer ? 1 : 0));
        run_every_way(op, x.view, out.view, {}, [&] { out.expect_values_alone(expected); });
      }
    }
  }
}

}  // namespace
}  // namespace smidgen::ops
