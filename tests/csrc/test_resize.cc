#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/resize/registry.h"

namespace smidgen::kernels {
namespace {

using test::Fence;
using test::Fenced;

constexpr Index kWidth = 5;
constexpr Index kGap = 3;
constexpr std::int32_t kWhole = 1 << kBilinearBits;

/// Two rows of an image, and places between their pixels, the first and the last among them.
struct Rows {
  Index channels;
  Fenced<std::uint8_t> upper;  // [kWidth][channels]
  Fenced<std::uint8_t> lower;
  Fenced<BilinearColumn> columns;

  Rows(Index channel_count, std::int64_t low, Fence fence, test::Random random)
      : channels(channel_count),
        upper(random.values<std::uint8_t>(kWidth * channels, low, 255), fence),
        lower(random.values<std::uint8_t>(kWidth * channels, low, 255), fence),
        columns(make_columns(channels, random), fence) {}

  static std::vector<BilinearColumn> make_columns(Index channels, test::Random& random) {
    std::vector<BilinearColumn> made = {{0, (kWidth - 1) * channels, kWhole},
                                        {(kWidth - 1) * channels, 0, 0}};
    for (const std::int32_t weight : {0, 1, 700, 1024, 2047, 2048}) {
      made.push_back({random.between(0, kWidth - 1) * channels,
                      random.between(0, kWidth - 1) * channels, weight});
    }
    return made;
  }

  /// The definition, in 64 bits.
  std::uint8_t expected(Index pixel, Index c, std::int64_t weight) const {
    const BilinearColumn& column = columns[pixel];
    const auto along_row = [&](const Fenced<std::uint8_t>& row) {
      const std::int64_t first = row[column.first + c];
      const std::int64_t second = row[column.second + c];
      return first * (kWhole - column.weight) + second * column.weight;
    };
    const std::int64_t total = along_row(upper) * (kWhole - weight) + along_row(lower) * weight;
    return static_cast<std::uint8_t>((total + (1 << 21)) >> 22);
  }
};

void check_kernel(const BilinearVariant& variant, const Rows& rows, Fence fence) {
  constexpr Index kPixels = 8;
  const Index stride = rows.channels + kGap;
  for (const std::int32_t weight : {0, 3, 1024, 2048}) {
    test::set_context(variant.name, "channels", rows.channels, "weight", weight);
    test::GuardedBytes out(test::extent_of_rows(kPixels, stride, rows.channels), fence);
    variant.kernel({.upper = rows.upper.data(),
                    .lower = rows.lower.data(),
                    .weight = weight,
                    .columns = rows.columns.data(),
                    .pixels = kPixels,
                    .channels = rows.channels,
                    .out = out.data(),
                    .out_stride = stride});
    CHECK(out.is_intact([&](Index i) { return i % stride < rows.channels; }));
    for (Index i = 0; i < kPixels; ++i) {
      for (Index c = 0; c < rows.channels; ++c) {
        CHECK_EQUAL(out[i * stride + c], rows.expected(i, c, weight));
      }
    }
  }
}

TEST(every_bilinear_kernel_equals_the_formula) {
  for (const BilinearVariant& variant : bilinear_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (Index channels = 1; channels <= 131; ++channels) {
      for (const Fence fence : test::kFences) {
        for (const std::int64_t low : {0, 254}) {
          check_kernel(variant, Rows(channels, low, fence, test::Random(14)), fence);
        }
      }
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
