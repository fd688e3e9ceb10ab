#include <array>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/depthwise/pack.h"
#include "kernels/depthwise/reference.h"

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

}  // namespace
}  // namespace smidgen::kernels
