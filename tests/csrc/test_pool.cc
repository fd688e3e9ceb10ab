#include <algorithm>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/pool/registry.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kWidth = 11;
constexpr std::ptrdiff_t kHeight = 9;
constexpr std::ptrdiff_t kWindows = 3;
constexpr std::ptrdiff_t kGap = 5;

struct Image {
  std::ptrdiff_t channels;
  std::vector<std::uint8_t> values;  // [kHeight][kWidth][channels]

  std::uint8_t at(std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t c) const {
    return values[static_cast<std::size_t>((row * kWidth + column) * channels + c)];
  }

  /// Calls visit(window, channel, index of its output).
  template <typename Visit>
  void for_each_output(const Visit& visit) const {
    for (std::ptrdiff_t window = 0; window < kWindows; ++window) {
      for (std::ptrdiff_t c = 0; c < channels; ++c) {
        visit(window, c, window * (channels + kGap) + c);
      }
    }
  }

  bool is_gap_intact(const test::GuardedBytes& out) const {
    return out.is_intact([&](std::ptrdiff_t i) { return i % (channels + kGap) < channels; });
  }

  /// kWindows windows a pixel apart, whose outputs are kGap bytes apart.
  PoolRun run(std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t dilation,
              std::uint8_t* out) const {
    return {.x = values.data(),
            .row_stride = dilation * kWidth * channels,
            .column_stride = dilation * channels,
            .window_stride = channels,
            .rows = rows,
            .columns = columns,
            .windows = kWindows,
            .channels = channels,
            .out = out,
            .out_stride = channels + kGap};
  }
};

template <typename Visit>
void for_each_window(const Visit& visit) {
  test::Random random(9);
  for (const std::ptrdiff_t channels : {1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 65, 130}) {
    const Image image{channels, random.values<std::uint8_t>(kHeight * kWidth * channels, 0, 255)};
    for (const std::ptrdiff_t rows : {0, 1, 2, 4}) {
      for (const std::ptrdiff_t columns : {0, 1, 3, 4}) {
        for (const std::ptrdiff_t dilation : {1, 2}) {
          test::set_context("channels", channels, rows, 'x', columns, "dilation", dilation);
          visit(image, rows, columns, dilation);
        }
      }
    }
  }
}

TEST(every_average_kernel_equals_the_formula) {
  for (const AverageVariant& variant : average_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for_each_window([&](const Image& image, std::ptrdiff_t rows, std::ptrdiff_t columns,
                        std::ptrdiff_t dilation) {
      const std::ptrdiff_t inside = rows * columns;
      const AverageScaling scaling{static_cast<std::int32_t>(-100 * inside),
                                   0.9F,
                                   static_cast<float>(inside),
                                   {-20, 235, 20}};
      test::GuardedBytes out(kWindows * (image.channels + kGap));
      variant.kernel(image.run(rows, columns, dilation, out.data()), scaling);
      CHECK(image.is_gap_intact(out));
      image.for_each_output([&](std::ptrdiff_t window, std::ptrdiff_t c, std::ptrdiff_t at) {
        std::int32_t sum = scaling.offset;
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
          for (std::ptrdiff_t j = 0; j < columns; ++j) {
            sum += image.at(i * dilation, window + j * dilation, c);
          }
        }
        const float scaled = static_cast<float>(sum) * scaling.multiplier;
        CHECK_EQUAL(out[at], round_and_clamp(scaled / scaling.count, scaling.range));
      });
    });
  }
}

TEST(every_average_kernel_sums_large_images) {
  // More than 256 pixels of 255 leave what 16 bits hold.
  constexpr std::ptrdiff_t kChannels = 70;
  for (const AverageVariant& variant : average_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const std::ptrdiff_t columns : {255, 256, 257, 600}) {
      constexpr std::ptrdiff_t kRows = 3;
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
      for (std::ptrdiff_t c = 0; c < kChannels; ++c) {
        const std::ptrdiff_t sum = 255 * (kRows * columns - (c == 0 ? 1 : 0));
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
    for_each_window([&](const Image& image, std::ptrdiff_t rows, std::ptrdiff_t columns,
                        std::ptrdiff_t dilation) {
      test::GuardedBytes out(kWindows * (image.channels + kGap));
      variant.kernel(image.run(rows, columns, dilation, out.data()));
      CHECK(image.is_gap_intact(out));
      image.for_each_output([&](std::ptrdiff_t window, std::ptrdiff_t c, std::ptrdiff_t at) {
        std::uint8_t largest = 0;
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
          for (std::ptrdiff_t j = 0; j < columns; ++j) {
            largest = std::max(largest, image.at(i * dilation, window + j * dilation, c));
          }
        }
        CHECK_EQUAL(out[at], largest);
      });
    });
  }
}

}  // namespace
}  // namespace smidgen::kernels
