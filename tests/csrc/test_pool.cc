#include <algorithm>
#include <array>
#include <numeric>
#include <span>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/pool/registry.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

using test::Fence;
using test::Fenced;

constexpr Index kWidth = 11;
constexpr Index kHeight = 9;
constexpr Index kWindows = 3;
constexpr Index kGap = 5;

struct Problem {
  Index channels;
  Index rows;
  Index columns;
  Index dilation;

  /// Pixels up to the last that a window has.
  Index pixels() const {
    if (rows == 0 || columns == 0) return 0;
    return (rows - 1) * dilation * kWidth + (columns - 1) * dilation + kWindows;
  }
};

/// An image whose last value is the last that kWindows windows a pixel apart read, and outputs
/// kGap bytes apart.
class Pooling {
 public:
  Pooling(const Problem& problem, const std::vector<std::uint8_t>& values, Fence fence)
      : problem_(problem),
        x_(std::span(values).first(static_cast<std::size_t>(problem.pixels() * problem.channels)),
           fence),
        out_(test::extent_of_rows(kWindows, out_stride(), problem.channels), fence) {}

  PoolRun run() {
    const Index channels = problem_.channels;
    return {.x = x_.data(),
            .row_stride = problem_.dilation * kWidth * channels,
            .column_stride = problem_.dilation * channels,
            .window_stride = channels,
            .rows = problem_.rows,
            .columns = problem_.columns,
            .windows = kWindows,
            .channels = channels,
            .out = out_.data(),
            .out_stride = out_stride()};
  }

  /// Compares outputs with expected(values of the window).
  template <typename Expected>
  void check(const Expected& expected) const {
    CHECK(out_.is_intact([&](Index i) { return i % out_stride() < problem_.channels; }));
    for (Index window = 0; window < kWindows; ++window) {
      for (Index c = 0; c < problem_.channels; ++c) {
        CHECK_EQUAL(out_[window * out_stride() + c], expected(values_of(window, c)));
      }
    }
  }

 private:
  Index out_stride() const { return problem_.channels + kGap; }

  std::vector<std::uint8_t> values_of(Index window, Index c) const {
    std::vector<std::uint8_t> values;
    for (Index i = 0; i < problem_.rows; ++i) {
      for (Index j = 0; j < problem_.columns; ++j) {
        const Index pixel = i * problem_.dilation * kWidth + window + j * problem_.dilation;
        values.push_back(x_[pixel * problem_.channels + c]);
      }
    }
    return values;
  }

  Problem problem_;
  Fenced<std::uint8_t> x_;
  test::GuardedBytes out_;
};

template <typename Visit>
void for_each_window(const Visit& visit) {
  test::Random random(9);
  for (Index channels = 1; channels <= 131; ++channels) {
    const auto values = random.values<std::uint8_t>(kHeight * kWidth * channels, 0, 255);
    for (const Index rows : {0, 1, 2, 4}) {
      for (const Index columns : {0, 1, 3, 4}) {
        const Problem problem{channels, rows, columns, 1 + channels % 2};
        test::set_context("channels", channels, rows, 'x', columns, "dilation", problem.dilation);
        for (const Fence fence : test::kFences) visit(problem, Pooling(problem, values, fence));
      }
    }
  }
}

AverageScaling scaling_of(const Problem& problem) {
  constexpr std::array<std::int32_t, 5> kZeroPoints = {0, 1, 127, 128, 255};
  constexpr std::array kMultipliers = {0.9F, 0.5F, 1.0F, 3.0F};
  const auto turn = static_cast<std::size_t>(problem.channels + problem.columns);
  const Index inside = problem.rows * problem.columns;
  const std::int32_t zero_point = kZeroPoints[turn / 4 % 5];
  return {static_cast<std::int32_t>(-kZeroPoints[turn % 5] * inside),
          kMultipliers[turn % 4],
          static_cast<float>(std::max(inside, Index{1})),
          {static_cast<float>(-zero_point), static_cast<float>(255 - zero_point), zero_point}};
}

TEST(every_average_kernel_equals_the_formula) {
  for (const AverageVariant& variant : average_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for_each_window([&](const Problem& problem, Pooling pooling) {
      const AverageScaling scaling = scaling_of(problem);
      variant.kernel(pooling.run(), scaling);
      pooling.check([&](const std::vector<std::uint8_t>& values) {
        const std::int32_t sum = std::accumulate(values.begin(), values.end(), scaling.offset);
        const float scaled = static_cast<float>(sum) * scaling.multiplier;
        return round_and_clamp(scaled / scaling.count, scaling.range);
      });
    });
  }
}

TEST(every_average_kernel_sums_large_images) {
  // More than 256 pixels of 255 leave what 16 bits hold, more than 65793 what floats hold exactly.
  constexpr Index kChannels = 70;
  for (const AverageVariant& variant : average_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const Index columns : {255, 256, 257, 600, 22000}) {
      constexpr Index kRows = 3;
      test::set_context(variant.name, "columns", columns);
      std::vector<std::uint8_t> x(static_cast<std::size_t>(kRows * columns * kChannels), 255);
      x.front() = 0;
      const AverageScaling scaling{0, 100.0F, 765.0F * static_cast<float>(columns), {0, 255, 0}};
      std::vector<std::uint8_t> out(kChannels);
      variant.kernel({.x = x.data(),
                      .row_stride = columns * kChannels,
                      .column_stride = kChannels,
                      .window_stride = 0,
                      .rows = kRows,
                      .columns = columns,
                      .windows = 1,
                      .channels = kChannels,
                      .out = out.data(),
                      .out_stride = kChannels},
                     scaling);
      for (Index c = 0; c < kChannels; ++c) {
        const Index sum = 255 * (kRows * columns - (c == 0 ? 1 : 0));
        const float scaled = static_cast<float>(sum) * scaling.multiplier;
        CHECK_EQUAL(out[static_cast<std::size_t>(c)],
                    round_and_clamp(scaled / scaling.count, scaling.range));
      }
    }
  }
}

TEST(every_average_kernel_divides_as_the_formula_does) {
  // All sums of one channel with counts that have no exact reciprocal, at multipliers that reach
  // ties and both bounds.
  for (const AverageVariant& variant : average_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const float count : {1.0F, 3.0F, 7.0F, 9.0F, 49.0F, 196.0F, 12544.0F, 16777213.0F}) {
      for (const float multiplier : {0.5F * count, 0.1F * count, 1e30F, 1e-30F}) {
        const AverageScaling scaling{0, multiplier, count, {-40, 215, 40}};
        std::vector<std::uint8_t> x(256);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::uint8_t>(i);
        test::set_context(variant.name, "count", count, "multiplier", multiplier);
        std::vector<std::uint8_t> out(x.size());
        variant.kernel({x.data(), 0, 0, 0, 1, 1, 1, 256, out.data(), 256}, scaling);
        for (std::size_t i = 0; i < x.size(); ++i) {
          const float scaled = static_cast<float>(i) * multiplier;
          CHECK_EQUAL(out[i], round_and_clamp(scaled / count, scaling.range));
        }
      }
    }
  }
}

TEST(every_maximum_kernel_finds_the_largest) {
  for (const MaximumVariant& variant : maximum_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for_each_window([&](const Problem&, Pooling pooling) {
      variant.kernel(pooling.run());
      pooling.check([](const std::vector<std::uint8_t>& values) {
        return std::accumulate(values.begin(), values.end(), std::uint8_t{0},
                               [](std::uint8_t a, std::uint8_t b) { return std::max(a, b); });
      });
    });
  }
}

}  // namespace
}  // namespace smidgen::kernels
