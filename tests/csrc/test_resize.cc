#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/resize/registry.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kWidth = 5;
constexpr std::int32_t kWhole = 1 << kBilinearBits;

struct Rows {
  std::ptrdiff_t channels;
  std::vector<std::uint8_t> upper;  // [kWidth][channels]
  std::vector<std::uint8_t> lower;
  std::vector<BilinearColumn> columns;

  Rows(std::ptrdiff_t channel_count, std::int64_t low, std::int64_t high)
      : channels(channel_count) {
    test::Random random(14);
    upper = random.values<std::uint8_t>(kWidth * channels, low, high);
    lower = random.values<std::uint8_t>(kWidth * channels, low, high);
    for (const std::int32_t weight : {0, 1, 700, 1024, 2047, 2048}) {
      columns.push_back({random.between(0, kWidth - 1) * channels,
                         random.between(0, kWidth - 1) * channels, weight});
    }
  }

  /// The definition, in 64 bits.
  std::uint8_t expected(std::size_t pixel, std::ptrdiff_t c, std::int64_t weight) const {
    const BilinearColumn& column = columns[pixel];
    const auto along_row = [&](const std::vector<std::uint8_t>& row) {
      const std::int64_t first = row[static_cast<std::size_t>(column.first + c)];
      const std::int64_t second = row[static_cast<std::size_t>(column.second + c)];
      return first * (kWhole - column.weight) + second * column.weight;
    };
    const std::int64_t total = along_row(upper) * (kWhole - weight) + along_row(lower) * weight;
    return static_cast<std::uint8_t>((total + (1 << 21)) >> 22);
  }
};

void check_kernel(const BilinearVariant& variant, const Rows& rows) {
  constexpr std::ptrdiff_t kGap = 3;
  const auto pixels = static_cast<std::ptrdiff_t>(rows.columns.size());
  const std::ptrdiff_t stride = rows.channels + kGap;
  for (const std::int32_t weight : {0, 3, 1024, 2048}) {
    test::set_context(variant.name, "channels", rows.channels, "weight", weight);
    test::GuardedBytes out(pixels * stride);
    variant.kernel({.upper = rows.upper.data(),
                    .lower = rows.lower.data(),
                    .weight = weight,
                    .columns = rows.columns.data(),
                    .pixels = pixels,
                    .channels = rows.channels,
                    .out = out.data(),
                    .out_stride = stride});
    CHECK(out.is_intact([&](std::ptrdiff_t i) { return i % stride < rows.channels; }));
    for (std::ptrdiff_t i = 0; i < pixels; ++i) {
      for (std::ptrdiff_t c = 0; c < rows.channels; ++c) {
        CHECK_EQUAL(out[i * stride + c], rows.expected(static_cast<std::size_t>(i), c, weight));
      }
    }
  }
}

TEST(every_bilinear_kernel_equals_the_formula) {
  for (const BilinearVariant& variant : bilinear_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const std::ptrdiff_t channels : {1, 2, 3, 5, 8, 15, 16, 21, 31, 32, 33, 64, 65, 130}) {
      check_kernel(variant, Rows(channels, 0, 255));
      check_kernel(variant, Rows(channels, 254, 255));
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
