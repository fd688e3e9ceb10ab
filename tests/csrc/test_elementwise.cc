#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/add/registry.h"
#include "kernels/layout/registry.h"
#include "kernels/lookup/registry.h"
#include "kernels/multiply/registry.h"
#include "kernels/quantize/registry.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::array<std::ptrdiff_t, 14> kCounts = {0,  1,  7,  8,  15, 16,  17,
                                                    31, 32, 33, 63, 64, 127, 1000};

constexpr auto kEverywhere = [](std::ptrdiff_t) { return true; };

TEST(rounding_is_half_to_even_and_nan_takes_the_lower_bound) {
  const OutputRange range{-3, 252, 3};
  CHECK_EQUAL(round_and_clamp(0.5F, range), 3);
  CHECK_EQUAL(round_and_clamp(1.5F, range), 5);
  CHECK_EQUAL(round_and_clamp(-0.5F, range), 3);
  CHECK_EQUAL(round_and_clamp(-1.5F, range), 1);
  CHECK_EQUAL(round_and_clamp(std::nanf(""), range), 0);
  CHECK_EQUAL(round_and_clamp(std::numeric_limits<float>::infinity(), range), 255);
  CHECK_EQUAL(round_and_clamp(-std::numeric_limits<float>::infinity(), range), 0);
}

TEST(every_add_kernel_equals_the_formula) {
  constexpr std::ptrdiff_t kRows = 3;
  const AddScales scales{255, 1, 0.5F, 0.7F, {-7, 240, 8}};
  for (const AddVariant& variant : add_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(4);
    for (const std::ptrdiff_t count : kCounts) {
      test::set_context(variant.name, "count", count);
      const std::ptrdiff_t lhs_stride = count + 1;
      const std::ptrdiff_t rhs_stride = count + 2;
      const std::ptrdiff_t out_stride = count + 3;
      const auto lhs = random.values<std::uint8_t>(kRows * lhs_stride, 0, 255);
      const auto rhs = random.values<std::uint8_t>(kRows * rhs_stride, 0, 255);
      test::GuardedBytes out(kRows * out_stride);
      variant.kernel({.rows = kRows,
                      .count = count,
                      .lhs = lhs.data(),
                      .lhs_stride = lhs_stride,
                      .rhs = rhs.data(),
                      .rhs_stride = rhs_stride,
                      .out = out.data(),
                      .out_stride = out_stride},
                     scales);
      CHECK(out.is_intact([&](std::ptrdiff_t i) { return i % out_stride < count; }));
      for (std::ptrdiff_t row = 0; row < kRows; ++row) {
        for (std::ptrdiff_t i = 0; i < count; ++i) {
          const int l = lhs[static_cast<std::size_t>(row * lhs_stride + i)];
          const int r = rhs[static_cast<std::size_t>(row * rhs_stride + i)];
          const float left = static_cast<float>(l - 255) * 0.5F;
          const float right = static_cast<float>(r - 1) * 0.7F;
          CHECK_EQUAL(out[row * out_stride + i], round_and_clamp(left + right, scales.range));
        }
      }
    }
  }
}

TEST(every_add_kernel_can_write_over_an_operand) {
  const AddScales scales{3, 250, 0.9F, 1.7F, {-20, 235, 20}};
  for (const AddVariant& variant : add_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(9);
    for (const std::ptrdiff_t count : kCounts) {
      test::set_context(variant.name, "count", count);
      auto lhs = random.values<std::uint8_t>(count, 0, 255);
      const auto rhs = random.values<std::uint8_t>(count, 0, 255);
      std::vector<std::uint8_t> expected(lhs.size());
      qu8_add_portable({1, count, lhs.data(), 0, rhs.data(), 0, expected.data(), 0}, scales);
      variant.kernel({1, count, lhs.data(), 0, rhs.data(), 0, lhs.data(), 0}, scales);
      CHECK(lhs == expected);
    }
  }
}

/// Products that reach both ends of int32's use, ties and multipliers beyond the bound below which
/// the clamp is one on bytes.
constexpr std::array kMultiplyScales = {
    MultiplyScales{255, 1, 0.0025F, {-7, 240, 8}},
    MultiplyScales{0, 0, 0.5F, {0, 255, 0}},
    MultiplyScales{128, 100, 0.004F, {-128, 127, 128}},
    MultiplyScales{17, 0, 3.0e30F, {-255, 0, 255}},
};

TEST(every_multiply_kernel_equals_the_formula) {
  constexpr std::ptrdiff_t kRows = 3;
  for (const MultiplyVariant& variant : multiply_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(10);
    for (const MultiplyScales& scales : kMultiplyScales) {
      for (const std::ptrdiff_t count : kCounts) {
        for (const std::ptrdiff_t rhs_stride : {count + 2, std::ptrdiff_t{0}}) {
          test::set_context(variant.name, "count", count, "rhs_stride", rhs_stride);
          const std::ptrdiff_t lhs_stride = count + 1;
          const std::ptrdiff_t out_stride = count + 3;
          const auto lhs = random.values<std::uint8_t>(kRows * lhs_stride, 0, 255);
          const auto rhs = random.values<std::uint8_t>(kRows * (count + 2), 0, 255);
          test::GuardedBytes out(kRows * out_stride);
          variant.kernel({kRows, count, lhs.data(), lhs_stride, rhs.data(), rhs_stride, out.data(),
                          out_stride},
                         scales);
          CHECK(out.is_intact([&](std::ptrdiff_t i) { return i % out_stride < count; }));
          for (std::ptrdiff_t row = 0; row < kRows; ++row) {
            for (std::ptrdiff_t i = 0; i < count; ++i) {
              const int l = lhs[static_cast<std::size_t>(row * lhs_stride + i)];
              const int r = rhs[static_cast<std::size_t>(row * rhs_stride + i)];
              const int product = (l - scales.lhs_zero_point) * (r - scales.rhs_zero_point);
              CHECK_EQUAL(
                  out[row * out_stride + i],
                  round_and_clamp(static_cast<float>(product) * scales.multiplier, scales.range));
            }
          }
        }
      }
    }
  }
}

TEST(every_multiply_kernel_knows_all_products) {
  // Each of 256 values with each of 256, over the whole range of both zero points.
  const auto bytes = [] {
    std::vector<std::uint8_t> values(256);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i);
    return values;
  }();
  for (const MultiplyVariant& variant : multiply_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const std::int32_t zero_point : {0, 131, 255}) {
      const MultiplyScales scales{zero_point, 255 - zero_point, 0.00195F, {-100, 155, 100}};
      for (const std::uint8_t factor : bytes) {
        test::set_context(variant.name, "zero point", zero_point, "factor", int{factor});
        const std::vector<std::uint8_t> rhs(256, factor);
        std::vector<std::uint8_t> expected(256);
        std::vector<std::uint8_t> out(256);
        qu8_multiply_portable({1, 256, bytes.data(), 0, rhs.data(), 0, expected.data(), 0}, scales);
        variant.kernel({1, 256, bytes.data(), 0, rhs.data(), 0, out.data(), 0}, scales);
        CHECK(out == expected);
      }
    }
  }
}

constexpr std::ptrdiff_t kLookupRows = 3;

void check_lookup(const LookupVariant& variant, std::ptrdiff_t count, std::ptrdiff_t gap) {
  test::set_context(variant.name, "count", count, "gap", gap);
  test::Random random(5);
  const auto table = random.values<std::uint8_t>(256, 0, 255);
  const std::ptrdiff_t x_stride = count + gap;
  const std::ptrdiff_t out_stride = count + 2 * gap;
  std::vector<std::uint8_t> x(static_cast<std::size_t>(kLookupRows * x_stride));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<std::uint8_t>(i * 7);
  test::GuardedBytes out(kLookupRows * out_stride);
  test::GuardedBytes in_place(kLookupRows * x_stride);
  std::ranges::copy(x, in_place.data());
  variant.kernel({kLookupRows, count, x.data(), x_stride, out.data(), out_stride}, table.data());
  variant.kernel({kLookupRows, count, in_place.data(), x_stride, in_place.data(), x_stride},
                 table.data());
  CHECK(out.is_intact([&](std::ptrdiff_t i) { return i % out_stride < count; }));
  CHECK(in_place.is_intact([](std::ptrdiff_t) { return true; }));
  for (std::ptrdiff_t i = 0; i < kLookupRows * x_stride; ++i) {
    const std::uint8_t value = x[static_cast<std::size_t>(i)];
    const bool is_in_row = i % x_stride < count;
    CHECK_EQUAL(in_place[i], is_in_row ? table[value] : value);
    if (is_in_row) CHECK_EQUAL(out[i / x_stride * out_stride + i % x_stride], table[value]);
  }
}

TEST(every_lookup_kernel_reads_every_entry) {
  for (const LookupVariant& variant : lookup_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const std::ptrdiff_t count : kCounts) {
      for (const std::ptrdiff_t gap : {0, 1, 9}) check_lookup(variant, count, gap);
    }
  }
}

std::vector<float> awkward_floats(std::ptrdiff_t count, test::Random& random) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::array<float, 12> special = {0.0F,       -0.0F,  0.05F,   0.15F,
                                         -0.25F,     1e30F,  -1e30F,  kInfinity,
                                         -kInfinity, 1e-42F, -1e-42F, std::nanf("")};
  std::vector<float> x(static_cast<std::size_t>(count));
  for (float& value : x) {
    const auto pick = static_cast<std::size_t>(random.between(0, 23));
    value = pick < special.size() ? special[pick]
                                  : static_cast<float>(random.between(-300, 300)) * 0.05F;
  }
  return x;
}

TEST(every_quantize_kernel_equals_the_formula) {
  for (const QuantizeVariant& variant : quantize_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(6);
    for (const std::ptrdiff_t count : kCounts) {
      for (const int zero_point : {0, 1, 128, 255}) {
        test::set_context(variant.name, "count", count, "zero_point", zero_point);
        const OutputRange range{static_cast<float>(-zero_point),
                                static_cast<float>(255 - zero_point), zero_point};
        const std::vector<float> x = awkward_floats(count, random);
        test::GuardedBytes out(count);
        variant.kernel(count, x.data(), {0.1F, range}, out.data());
        CHECK(out.is_intact(kEverywhere));
        for (std::ptrdiff_t i = 0; i < count; ++i) {
          CHECK_EQUAL(out[i], round_and_clamp(x[static_cast<std::size_t>(i)] / 0.1F, range));
        }
      }
    }
  }
}

TEST(every_quantize_kernel_interleaves_three_planes) {
  const OutputRange range{-100, 155, 100};
  for (const QuantizeVariant& variant : quantize_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(11);
    for (const std::ptrdiff_t count : kCounts) {
      test::set_context(variant.name, "count", count);
      const std::ptrdiff_t stride = count + 1;
      const std::vector<float> x = awkward_floats(3 * stride, random);
      test::GuardedBytes out(3 * count);
      variant.planes_kernel(count, x.data(), stride, {0.1F, range}, out.data());
      CHECK(out.is_intact(kEverywhere));
      for (std::ptrdiff_t i = 0; i < count; ++i) {
        for (std::ptrdiff_t plane = 0; plane < 3; ++plane) {
          const float value = x[static_cast<std::size_t>(plane * stride + i)];
          CHECK_EQUAL(out[3 * i + plane], round_and_clamp(value / 0.1F, range));
        }
      }
    }
  }
}

/// Floats whose quotients by `scale` lie on ties, and on both sides of them, as near as floats can.
std::vector<float> floats_around_ties(float scale) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> x;
  for (int half = -520; half <= 520; ++half) {
    float value = static_cast<float>(half) * 0.5F * scale;
    for (int step = 0; step < 4; ++step) value = std::nextafterf(value, -kInfinity);
    for (int step = 0; step < 9; ++step) {
      x.push_back(value);
      value = std::nextafterf(value, kInfinity);
    }
  }
  return x;
}

TEST(every_quantize_kernel_rounds_the_true_quotient_at_ties) {
  test::Random random(12);
  std::vector<float> scales = {0x1p-60F,       0x1p60F,         1.0F, 0x1.fffffep-1F,
                               0x1.fffffep59F, 0x1.000002p-60F, 0.1F, 1.0F / 255.0F,
                               0x1.000002p0F,  0x1.fffffcp-9F};
  for (int i = 0; i < 100; ++i) {
    scales.push_back(std::ldexp(static_cast<float>(random.between(1 << 23, (1 << 24) - 1)),
                                static_cast<int>(random.between(-60, 20))));
  }
  for (const QuantizeVariant& variant : quantize_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const float scale : scales) {
      test::set_context(variant.name, "scale", scale);
      const std::vector<float> x = floats_around_ties(scale);
      for (const int zero_point : {0, 128, 255}) {
        const OutputRange range{static_cast<float>(-zero_point),
                                static_cast<float>(255 - zero_point), zero_point};
        std::vector<std::uint8_t> out(x.size());
        variant.kernel(static_cast<std::ptrdiff_t>(x.size()), x.data(), {scale, range}, out.data());
        for (std::size_t i = 0; i < x.size(); ++i) {
          CHECK_EQUAL(out[i], round_and_clamp(x[i] / scale, range));
        }
      }
    }
  }
}

TEST(every_dequantize_kernel_equals_the_formula) {
  for (const DequantizeVariant& variant : dequantize_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(7);
    for (const std::ptrdiff_t count : kCounts) {
      test::set_context(variant.name, "count", count);
      const auto x = random.values<std::uint8_t>(count, 0, 255);
      std::vector<float> out(static_cast<std::size_t>(count) + 1, -7.0F);
      variant.kernel(count, x.data(), 0.3F, 200, out.data());
      CHECK_EQUAL(out.back(), -7.0F);
      for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK_EQUAL(out[i], static_cast<float>(x[i] - 200) * 0.3F);
      }
    }
  }
}

void check_transposition(const TransposeVariant& variant, std::ptrdiff_t rows,
                         std::ptrdiff_t columns, std::ptrdiff_t gap) {
  test::set_context(variant.name, rows, 'x', columns, "gap", gap);
  test::Random random(8);
  const std::ptrdiff_t x_stride = columns + gap;
  const std::ptrdiff_t out_stride = rows + gap;
  const auto x = random.values<std::uint8_t>(rows * x_stride, 0, 255);
  test::GuardedBytes out(columns * out_stride);
  variant.kernel({rows, columns, x.data(), x_stride, out.data(), out_stride});
  CHECK(out.is_intact([&](std::ptrdiff_t i) { return i % out_stride < rows; }));
  for (std::ptrdiff_t i = 0; i < rows; ++i) {
    for (std::ptrdiff_t j = 0; j < columns; ++j) {
      CHECK_EQUAL(out[j * out_stride + i], x[static_cast<std::size_t>(i * x_stride + j)]);
    }
  }
}

TEST(every_transpose_kernel_moves_each_value) {
  for (const TransposeVariant& variant : transpose_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const std::ptrdiff_t rows : {1, 2, 3, 4, 15, 16, 17, 31, 32, 50}) {
      for (const std::ptrdiff_t columns : {1, 2, 3, 4, 15, 16, 17, 33, 100}) {
        for (const std::ptrdiff_t gap : {0, 2}) check_transposition(variant, rows, columns, gap);
      }
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
