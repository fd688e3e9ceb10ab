#include <array>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/conversion_bound.h"
#include "kernels/depthwise/pack.h"
#include "kernels/depthwise/reference.h"
#include "kernels/depthwise_band/pack.h"
#include "product_data.h"

#if SMIDGEN_X86
#include "avxvnni_as_avx512vl.h"
#endif

namespace smidgen::kernels {
namespace {

using test::Data;
using test::Fence;

struct Problem {
  Index channels;
  std::array<Index, 2> kernel{3, 3};
  Index dilation = 1;
  Index stride = 1;
  Index pixels = 1;
  std::int32_t zero_point = 0;
  Data data = Data::kRandom;
  OutputRange range{-10, 200, 20};

  Index taps() const { return kernel[0] * kernel[1]; }
  Index width() const { return (pixels - 1) * stride + (kernel[1] - 1) * dilation + 1; }
  Index height() const { return (kernel[0] - 1) * dilation + 1; }
};

constexpr std::array<OutputRange, 5> kRanges = {OutputRange{-10, 200, 20}, OutputRange{-1, 254, 1},
                                                OutputRange{0, 255, 0}, OutputRange{-128, 127, 128},
                                                OutputRange{-255, 0, 255}};
using test::kZeroPoints;

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

/// Bytes from the first tap to each, and to the first for those that fill up the last group.
std::vector<Index> tap_offsets(const Problem& problem, Index padded_taps) {
  std::vector<Index> offsets(static_cast<std::size_t>(padded_taps), 0);
  for (Index tap = 0; tap < problem.taps(); ++tap) {
    offsets[static_cast<std::size_t>(tap)] =
        (tap / problem.kernel[1] * problem.width() + tap % problem.kernel[1]) * problem.dilation *
        problem.channels;
  }
  return offsets;
}

std::vector<std::uint8_t> expected_pixels(const Problem& problem, const test::ProductData& data) {
  const std::vector<Index> offsets = tap_offsets(problem, problem.taps());
  std::vector<std::uint8_t> expected(static_cast<std::size_t>(problem.pixels * problem.channels));
  for (Index pixel = 0; pixel < problem.pixels; ++pixel) {
    qu8_qc8w_depthwise_reference(
        problem.channels, problem.taps(), data.x.data() + pixel * problem.stride * problem.channels,
        offsets.data(), problem.zero_point, data.weights.data(), data.bias.data(),
        data.multipliers.data(), problem.range, expected.data() + pixel * problem.channels);
  }
  return expected;
}

/// Runs the kernel with each array against a fence.
void check_run(const PackedDepthwise& packed, const Problem& problem, const test::ProductData& data,
               const std::vector<std::uint8_t>& expected, Fence fence) {
  const DepthwiseVariant& variant = *packed.variant;
  const Index over_read = round_up(problem.channels, variant.block) - problem.channels;
  const test::Fenced x(data.x, fence, over_read);
  const test::Fenced offsets(tap_offsets(problem, packed.taps), fence);
  const Index out_stride = problem.channels + 5;
  test::GuardedBytes out(test::extent_of_rows(problem.pixels, out_stride, problem.channels), fence);
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
                  .range = problem.range});
  CHECK(out.is_intact([&](Index i) { return i % out_stride < problem.channels; }));
  for (Index i = 0; i < problem.pixels * problem.channels; ++i) {
    CHECK_EQUAL(out[i / problem.channels * out_stride + i % problem.channels],
                expected[static_cast<std::size_t>(i)]);
  }
}

void check_problem(const DepthwiseVariant& variant, const Problem& problem, test::Random& random) {
  test::set_context(variant.name, "channels", problem.channels, "kernel", problem.kernel[0], 'x',
                    problem.kernel[1], "dilation", problem.dilation, "stride", problem.stride,
                    "pixels", problem.pixels, "zero_point", problem.zero_point, "data",
                    static_cast<int>(problem.data));
  const test::ProductData data = test::ProductFiller(problem.data, problem.zero_point, random)
                                     .fill(problem.height() * problem.width() * problem.channels,
                                           problem.channels, problem.taps());
  PackedDepthwise packed = pack_depthwise(variant, problem.channels, problem.taps(), data.weights,
                                          data.bias, data.multipliers, problem.zero_point);
  test::FencedMemory memory;
  for (AlignedBuffer* array : {&packed.weights, &packed.bias2, &packed.multipliers}) {
    memory.enclose(*array);
  }
  const std::vector<std::uint8_t> expected = expected_pixels(problem, data);
  for (const Fence fence : test::kFences) check_run(packed, problem, data, expected, fence);
}

constexpr std::array<Index, 5> kKernels = {1, 2, 3, 5, 7};

TEST(every_depthwise_kernel_equals_the_reference_for_every_number_of_channels) {
  for (const DepthwiseVariant& variant : runnable_variants()) {
    test::Random random(3);
    std::size_t turn = 0;
    for (Index channels = 1; channels <= 2 * variant.block + 1; ++channels) {
      for (const Index kernel : kKernels) {
        ++turn;
        check_problem(variant,
                      {.channels = channels,
                       .kernel = {kernel, kKernels[turn % 4]},
                       .dilation = 1 + static_cast<Index>(turn % 2),
                       .stride = 1 + static_cast<Index>(turn / 2 % 2),
                       .pixels = 1 + static_cast<Index>(turn % 4),
                       .zero_point = kZeroPoints[turn % 5],
                       .range = kRanges[turn / 5 % 5]},
                      random);
      }
    }
  }
}

TEST(every_depthwise_kernel_equals_the_reference_for_all_zero_points_and_data) {
  for (const DepthwiseVariant& variant : runnable_variants()) {
    test::Random random(4);
    std::size_t turn = 0;
    for (const Data data : test::kAllData) {
      for (const std::int32_t zero_point : kZeroPoints) {
        for (const Index kernel : kKernels) {
          for (const OutputRange& range : kRanges) {
            check_problem(variant,
                          {.channels = variant.block + 3,
                           .kernel = {kernel, kernel},
                           .stride = 1 + static_cast<Index>(++turn % 2),
                           .pixels = 2,
                           .zero_point = zero_point,
                           .data = data,
                           .range = range},
                          random);
          }
        }
      }
    }
  }
}

struct BandProblem {
  Index channels;
  Index columns = 3;
  Index lines = 1;
  Index pixels = 1;
  Index column_stride = 1;  // pixels between the taps of a line
  Index pixel_stride = 1;   // pixels from one window to the next
  std::int32_t zero_point = 0;
  Data data = Data::kRandom;
  OutputRange range{-10, 200, 20};

  Index width() const { return (pixels - 1) * pixel_stride + (columns - 1) * column_stride + 1; }
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

std::vector<std::uint8_t> expected_band(const DepthwiseBandVariant& variant,
                                        const BandProblem& problem, const test::ProductData& data) {
  const Index channels = problem.channels;
  const Index taps = variant.kernel * problem.columns;
  std::vector<Index> offsets;
  for (Index tap = 0; tap < taps; ++tap) {
    offsets.push_back(
        (tap / problem.columns * problem.width() + tap % problem.columns * problem.column_stride) *
        channels);
  }
  std::vector<std::uint8_t> expected(
      static_cast<std::size_t>(problem.lines * problem.pixels * channels));
  for (Index i = 0; i < problem.lines * problem.pixels; ++i) {
    const Index at = i / problem.pixels * variant.stride * problem.width() +
                     i % problem.pixels * problem.pixel_stride;
    qu8_qc8w_depthwise_reference(channels, taps, data.x.data() + at * channels, offsets.data(),
                                 problem.zero_point, data.weights.data(), data.bias.data(),
                                 data.multipliers.data(), problem.range,
                                 expected.data() + i * channels);
  }
  return expected;
}

/// Runs one band with each array against a fence, pixel by pixel or, if `is_by_line`, with touching
/// pixels as one run. The pixels of a line touch in both cases.
void check_band_run(const PackedDepthwiseBand& packed, const BandProblem& problem,
                    const test::ProductData& data, const std::vector<std::uint8_t>& expected,
                    bool is_by_line, Fence fence) {
  const DepthwiseBandVariant& variant = *packed.variant;
  const Index channels = problem.channels;
  const test::Fenced x(data.x, fence, variant.block);
  const Index out_pitch = is_by_line ? channels : channels + 5;
  const Index out_line = problem.pixels * out_pitch + 3;
  test::GuardedBytes out(
      test::extent_of_rows(problem.lines, out_line,
                           test::extent_of_rows(problem.pixels, out_pitch, channels)),
      fence);
  variant.run({.lines = problem.lines,
               .runs = is_by_line ? 1 : problem.pixels,
               .run_bytes = is_by_line ? problem.pixels * channels : channels,
               .x = x.data(),
               .x_lines = variant.input_lines(problem.lines),
               .x_line_stride = problem.width() * channels,
               .x_run_stride = problem.pixel_stride * channels,
               .columns = problem.columns,
               .column_stride = problem.column_stride * channels,
               .blocks = packed.blocks,
               .rests = packed.rests,
               .weights = packed.weights.as<std::int8_t>(),
               .bias2 = packed.bias2.as<std::int32_t>(),
               .multipliers = packed.multipliers.as<float>(),
               .lowerings = packed.is_raised() ? packed.lowerings.as<float>() : nullptr,
               .out = out.data(),
               .out_line_stride = out_line,
               .out_run_stride = out_pitch,
               .range = byte_range(problem.range)});
  CHECK(out.is_intact([&](Index i) {
    return i % out_line < problem.pixels * out_pitch && i % out_line % out_pitch < channels;
  }));
  for (Index i = 0; i < problem.lines * problem.pixels * channels; ++i) {
    const Index pixel = i / channels;
    CHECK_EQUAL(
        out[pixel / problem.pixels * out_line + pixel % problem.pixels * out_pitch + i % channels],
        expected[static_cast<std::size_t>(i)]);
  }
}

void check_band(const DepthwiseBandVariant& variant, const BandProblem& problem,
                test::Random& random) {
  test::set_context(variant.name, "channels", problem.channels, "kernel", variant.kernel, "columns",
                    problem.columns, "stride", variant.stride, "lines", problem.lines, "pixels",
                    problem.pixels, "zero_point", problem.zero_point, "data",
                    static_cast<int>(problem.data));
  const Index taps = variant.kernel * problem.columns;
  const test::ProductData data =
      test::ProductFiller(problem.data, problem.zero_point, random)
          .fill(variant.input_lines(problem.lines) * problem.width() * problem.channels,
                problem.channels, taps);
  const DepthwiseFilters filters{problem.channels,  variant.kernel, problem.columns,
                                 data.weights,      data.bias,      data.multipliers,
                                 problem.zero_point};
  const std::vector<std::uint8_t> expected = expected_band(variant, problem, data);
  for (const bool is_by_line : {false, true}) {
    if (is_by_line && problem.pixel_stride > 1) continue;
    auto packed = pack_depthwise_band(variant, filters, byte_range(problem.range), is_by_line);
    CHECK(packed.has_value());
    test::FencedMemory memory;
    for (AlignedBuffer* array :
         {&packed->weights, &packed->bias2, &packed->multipliers, &packed->lowerings}) {
      memory.enclose(*array);
    }
    for (const Fence fence : test::kFences) {
      check_band_run(*packed, problem, data, expected, is_by_line, fence);
    }
  }
}

TEST(every_depthwise_band_equals_the_reference_for_every_number_of_channels) {
  for (const DepthwiseBandVariant& variant : runnable_band_variants()) {
    test::Random random(11);
    std::size_t turn = 0;
    for (Index channels = 1; channels <= 2 * variant.block + 1; ++channels) {
      for (Index lines = 1; lines <= variant.most_lines; ++lines, ++turn) {
        const auto other = static_cast<Index>(turn % 3);
        check_band(variant,
                   {.channels = channels,
                    .columns = 1 + static_cast<Index>(turn % 7),
                    .lines = lines,
                    .pixels = 1 + static_cast<Index>(turn % 19),
                    .column_stride = 1 + other % 2,
                    .pixel_stride = 1 + static_cast<Index>(turn / 3 % 4),
                    .zero_point = kZeroPoints[turn % 5],
                    .range = kRanges[turn / 5 % 5]},
                   random);
      }
    }
  }
}

TEST(every_depthwise_band_equals_the_reference_for_all_zero_points_and_data) {
  for (const DepthwiseBandVariant& variant : runnable_band_variants()) {
    test::Random random(12);
    std::size_t turn = 0;
    for (const Data data : test::kAllData) {
      for (const std::int32_t zero_point : kZeroPoints) {
        for (const OutputRange& range : kRanges) {
          check_band(variant,
                     {.channels = variant.block / 2 + 3,
                      .columns = 1 + static_cast<Index>(++turn % 7),
                      .lines = variant.most_lines,
                      .pixels = 3 + static_cast<Index>(turn % 4),
                      .pixel_stride = variant.stride,
                      .zero_point = zero_point,
                      .data = data,
                      .range = range},
                     random);
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
          variant, {1, variant.kernel, 1, weights, bias, multipliers, 0}, {0, 0, 255}, false);
      CHECK_EQUAL(packed.has_value(), multiplier < 2);
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
