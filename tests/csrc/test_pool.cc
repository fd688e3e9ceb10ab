#include <algorithm>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/pool/registry.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kWidth = 9;
constexpr std::ptrdiff_t kHeight = 9;

struct Image {
  std::ptrdiff_t channels;
  std::vector<std::uint8_t> values;  // [kHeight][kWidth][channels]

  std::uint8_t at(std::ptrdiff_t row, std::ptrdiff_t column, std::ptrdiff_t c) const {
    return values[static_cast<std::size_t>((row * kWidth + column) * channels + c)];
  }

  PoolWindow window(std::ptrdiff_t rows, std::ptrdiff_t columns, std::ptrdiff_t dilation,
                    std::uint8_t* out) const {
    return {values.data(),
            dilation * kWidth * channels,
            dilation * channels,
            rows,
            columns,
            channels,
            out};
  }
};

template <typename Visit>
void for_each_window(const Visit& visit) {
  test::Random random(9);
  for (const std::ptrdiff_t channels : {1, 3, 15, 16, 17, 33, 64, 65}) {
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
      test::GuardedBytes out(image.channels);
      variant.kernel(image.window(rows, columns, dilation, out.data()), scaling);
      CHECK(out.is_intact([](std::ptrdiff_t) { return true; }));
      for (std::ptrdiff_t c = 0; c < image.channels; ++c) {
        std::int32_t sum = scaling.offset;
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
          for (std::ptrdiff_t j = 0; j < columns; ++j)
            sum += image.at(i * dilation, j * dilation, c);
        }
        const float scaled = static_cast<float>(sum) * scaling.multiplier;
        CHECK_EQUAL(out[c], round_and_clamp(scaled / scaling.count, scaling.range));
      }
    });
  }
}

TEST(every_maximum_kernel_finds_the_largest) {
  for (const MaximumVariant& variant : maximum_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for_each_window([&](const Image& image, std::ptrdiff_t rows, std::ptrdiff_t columns,
                        std::ptrdiff_t dilation) {
      test::GuardedBytes out(image.channels);
      variant.kernel(image.window(rows, columns, dilation, out.data()));
      CHECK(out.is_intact([](std::ptrdiff_t) { return true; }));
      for (std::ptrdiff_t c = 0; c < image.channels; ++c) {
        std::uint8_t largest = 0;
        for (std::ptrdiff_t i = 0; i < rows; ++i) {
          for (std::ptrdiff_t j = 0; j < columns; ++j) {
            largest = std::max(largest, image.at(i * dilation, j * dilation, c));
          }
        }
        CHECK_EQUAL(out[c], largest);
      }
    });
  }
}

}  // namespace
}  // namespace smidgen::kernels
