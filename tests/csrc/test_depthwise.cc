#include <array>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/depthwise/pack.h"
#include "kernels/depthwise/reference.h"
#include "kernels/depthwise_band/pack.h"

#if SMIDGEN_X86
#include "avxvnni_as_avx512vl.h"
#endif

namespace smidgen::kernels {
namespace {

struct Problem {
  Index channels;
  Index kernel;
  Index dilation;
  Index stride;
  Index pixels;
  std::int32_t zero_point;
  bool is_extreme;
};

std::vector<DepthwiseVariant> runnable_variants() {
  std::vector<DepthwiseVariant> variants;
  for (const DepthwiseVariant& variant : depthwise_variants()) {
    if (cpu_has(variant.isa)) variants.push_back(variant);
  }
#if SMIDGEN_X86
  if (cpu_has(Isa::kAvx512Vnni)) {
    variants.push_back({"depthwise_32c4_avxvnni_as_avx512vl", Isa::kAvxVnni, 32, 4, 2,
                        depthwise_32c4_avxvnni_as_avx512vl});
  }
#endif
  return variants;
}

void check_problem(const DepthwiseVariant& variant, const Problem& problem, test::Random& random) {
  test::set_context(variant.name, "channels", problem.channels, "kernel", problem.kernel, "stride",
                    problem.stride, "pixels", problem.pixels, "zero_point", problem.zero_point);
  const Index taps = problem.kernel * problem.kernel;
  const Index span = (problem.kernel - 1) * problem.dilation + 1;
  const Index width = (problem.pixels - 1) * problem.stride + span;
  const Index over_read = round_up(problem.channels, variant.block) - problem.channels;
  const std::int64_t low = problem.is_extreme ? 255 : 0;
  auto x = random.values<std::uint8_t>(span * width * problem.channels + over_read, low, 255);
  const auto w =
      random.values<std::int8_t>(problem.channels * taps, -128, problem.is_extreme ? -128 : 127);
  const auto bias = random.values<std::int32_t>(problem.channels, -30000, 30000);
  std::vector<float> multipliers(static_cast<std::size_t>(problem.channels));
  for (float& multiplier : multipliers) multiplier = random.between(0, 1) == 0 ? 0.5F : 0.0123F;
  const OutputRange range{-10, 200, 20};

  const PackedDepthwise packed =
      pack_depthwise(variant, problem.channels, taps, w, bias, multipliers, problem.zero_point);
  std::vector<Index> offsets(static_cast<std::size_t>(packed.taps), 0);
  for (Index tap = 0; tap < taps; ++tap) {
    offsets[static_cast<std::size_t>(tap)] =
        (tap / problem.kernel * width + tap % problem.kernel) * problem.dilation * problem.channels;
  }
  const Index out_stride = problem.channels + 5;
  test::GuardedBytes out(problem.pixels * out_stride);
  variant.kernel({.pixels = problem.pixels,
                  .channels = problem.channels,
                  .x = x.data(),
                  .x_pixel_stride = problem.stride * problem.channels,
                  .tap_offsets = offsets.data(),
                  .taps = packed.taps,
                  .weights = packed.weights.as<std::int8_t>(),
                  .bias2 = packed.bias2.as<std::int32_t>(),
                  .multipliers = packed.multipliers.as<float>(),
                  .out = out.data(),
                  .out_pixel_stride = out_stride,
                  .range = range});
  CHECK(out.is_intact([&](Index i) { return i % out_stride < problem.channels; }));
  std::vector<std::uint8_t> expected(static_cast<std::size_t>(problem.channels));
  for (Index pixel = 0; pixel < problem.pixels; ++pixel) {
    qu8_qc8w_depthwise_reference(problem.channels, taps,
                                 x.data() + pixel * problem.stride * problem.channels,
                                 offsets.data(), problem.zero_point, w.data(), bias.data(),
                                 multipliers.data(), range, expected.data());
    for (Index c = 0; c < problem.channels; ++c) {
      CHECK_EQUAL(out[pixel * out_stride + c], expected[static_cast<std::size_t>(c)]);
    }
  }
}

TEST(every_depthwise_kernel_equals_the_reference) {
  constexpr std::array<std::int32_t, 5> kZeroPoints = {0, 1, 127, 128, 255};
  for (const DepthwiseVariant& variant : runnable_variants()) {
    test::Random random(3);
    std::size_t turn = 0;
    for (const Index channels : {1, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130}) {
      for (const Index kernel : {1, 2, 3, 5, 7}) {
        for (const Index stride : {1, 2}) {
          const Index dilation = 1 + static_cast<Index>(turn % 2);
          check_problem(variant,
                        {channels, kernel, dilation, stride, 1 + static_cast<Index>(turn % 4),
                         kZeroPoints[turn % 5], turn % 7 == 0},
                        random);
          ++turn;
        }
      }
    }
  }
}

struct BandProblem {
  Index channels;
  Index columns;
  Index lines;
  Index pixels;
  Index column_stride;  // pixels between the taps of a line
  Index pixel_stride;   // pixels from one window to the next
  std::int32_t zero_point;
  bool is_extreme;
};

std::vector<DepthwiseBandVariant> runnable_band_variants() {
  std::vector<DepthwiseBandVariant> variants;
  for (const DepthwiseBandVariant& variant : depthwise_band_variants()) {
    if (cpu_has(variant.isa)) variants.push_back(variant);
  }
#if SMIDGEN_X86
  if (cpu_has(Isa::kAvx512Vnni)) {
    const ReencodedBands bands = depthwise_bands_avxvnni_as_avx512vl();
    for (const ReencodedBand& band : bands.all) {
      variants.push_back({"depthwise_band_avxvnni_as_avx512vl", Isa::kAvxVnni, band.kernel,
                          band.stride, 32, 2, band.run});
    }
  }
#endif
  return variants;
}

/// Runs one band, pixel by pixel or, if `is_by_line`, with touching pixels as one run, and compares
/// it with the reference. The pixels of a line touch in both cases.
void check_band(const DepthwiseBandVariant& variant, const BandProblem& problem, bool is_by_line,
                test::Random& random) {
  test::set_context(variant.name, "channels", problem.channels, "kernel", variant.kernel, "columns",
                    problem.columns, "stride", variant.stride, "lines", problem.lines, "pixels",
                    problem.pixels, "zero_point", problem.zero_point, "by line", is_by_line);
  const Index channels = problem.channels;
  const Index width = (problem.pixels - 1) * problem.pixel_stride +
                      (problem.columns - 1) * problem.column_stride + 1;
  const Index x_lines = variant.input_lines(problem.lines);
  const std::int64_t low = problem.is_extreme ? 255 : 0;
  // The image ends where the kernel may still read a block.
  const auto x = random.values<std::uint8_t>(x_lines * width * channels + variant.block, low, 255);
  const Index taps = variant.kernel * problem.columns;
  const auto w = random.values<std::int8_t>(channels * taps, -128, problem.is_extreme ? -128 : 127);
  const auto bias = random.values<std::int32_t>(channels, -30000, 30000);
  std::vector<float> multipliers(static_cast<std::size_t>(channels));
  for (float& multiplier : multipliers) multiplier = random.between(0, 1) == 0 ? 0.5F : 0.0123F;
  const OutputRange range{-10, 200, 20};
  const auto packed = pack_depthwise_band(
      variant,
      {channels, variant.kernel, problem.columns, w, bias, multipliers, problem.zero_point},
      is_by_line);
  CHECK(packed.has_value());
  const Index out_pitch = is_by_line ? channels : channels + 5;
  const Index out_line = problem.pixels * out_pitch + 3;
  test::GuardedBytes out(problem.lines * out_line);
  variant.run({.lines = problem.lines,
               .runs = is_by_line ? 1 : problem.pixels,
               .run_bytes = is_by_line ? problem.pixels * channels : channels,
               .x = x.data(),
               .x_lines = x_lines,
               .x_line_stride = width * channels,
               .x_run_stride = problem.pixel_stride * channels,
               .columns = problem.columns,
               .column_stride = problem.column_stride * channels,
               .blocks = packed->blocks,
               .weights = packed->weights.as<std::int8_t>(),
               .bias2 = packed->bias2.as<std::int32_t>(),
               .multipliers = packed->multipliers.as<float>(),
               .out = out.data(),
               .out_line_stride = out_line,
               .out_run_stride = out_pitch,
               .range = {20, 10, 220}});
  CHECK(out.is_intact([&](Index i) {
    return i % out_line < problem.pixels * out_pitch && i % out_line % out_pitch < channels;
  }));
  std::vector<Index> offsets;
  for (Index tap = 0; tap < taps; ++tap) {
    offsets.push_back(
        (tap / problem.columns * width + tap % problem.columns * problem.column_stride) * channels);
  }
  std::vector<std::uint8_t> expected(static_cast<std::size_t>(channels));
  for (Index line = 0; line < problem.lines; ++line) {
    for (Index pixel = 0; pixel < problem.pixels; ++pixel) {
      const Index at = line * variant.stride * width + pixel * problem.pixel_stride;
      qu8_qc8w_depthwise_reference(channels, taps, x.data() + at * channels, offsets.data(),
                                   problem.zero_point, w.data(), bias.data(), multipliers.data(),
                                   range, expected.data());
      for (Index c = 0; c < channels; ++c) {
        CHECK_EQUAL(out[line * out_line + pixel * out_pitch + c],
                    expected[static_cast<std::size_t>(c)]);
      }
    }
  }
}

TEST(every_depthwise_band_equals_the_reference) {
  constexpr std::array<std::int32_t, 5> kZeroPoints = {0, 1, 127, 128, 255};
  for (const DepthwiseBandVariant& variant : runnable_band_variants()) {
    test::Random random(11);
    std::size_t turn = 0;
    for (const Index channels : {1, 3, 8, 16, 24, 31, 32, 33, 40, 64, 65, 96}) {
      for (const Index columns : {1, 3, 5}) {
        for (Index lines = 1; lines <= variant.most_lines; ++lines, ++turn) {
          const auto other = static_cast<Index>(turn % 3);
          const BandProblem problem{channels,
                                    columns,
                                    lines,
                                    1 + other,
                                    1 + other % 2,
                                    1 + static_cast<Index>(turn % 2),
                                    kZeroPoints[turn % 5],
                                    turn % 7 == 0};
          check_band(variant, problem, false, random);
          if (problem.pixel_stride == 1) check_band(variant, problem, true, random);
        }
      }
    }
  }
}

TEST(a_depthwise_band_is_not_packed_where_its_sums_may_leave_int32) {
  for (const DepthwiseBandVariant& variant : runnable_band_variants()) {
    const std::vector<std::int8_t> weights(static_cast<std::size_t>(variant.kernel), 127);
    const std::array<std::int32_t, 1> bias = {1 << 30};
    for (const float multiplier : {1.0F, 3.0F}) {
      const std::array<float, 1> multipliers = {multiplier};
      const auto packed = pack_depthwise_band(
          variant, {1, variant.kernel, 1, weights, bias, multipliers, 0}, false);
      CHECK_EQUAL(packed.has_value(), multiplier < 2);
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
