#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
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

using test::extent_of_rows;
using test::Fence;
using test::Fenced;
using test::kFences;

/// Two vectors of the widest kind and all tails, and many of them.
const std::vector<Index> kCounts = [] {
  std::vector<Index> counts = {255, 256, 1000};
  for (Index count = 0; count <= 131; ++count) counts.push_back(count);
  return counts;
}();

constexpr auto kEverywhere = [](Index) { return true; };

const std::vector<std::uint8_t> kAllBytes = [] {
  std::vector<std::uint8_t> values(256);
  std::iota(values.begin(), values.end(), std::uint8_t{0});
  return values;
}();

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

/// The usual, ties, multipliers of 1 and more, and the largest and smallest that scales can give.
constexpr std::array kAddScales = {
    AddScales{255, 1, 0.5F, 0.7F, {-7, 240, 8}},
    AddScales{128, 127, 0.5F, 0.5F, {-128, 127, 128}},
    AddScales{0, 0, 0.25F, 0.125F, {0, 255, 0}},
    AddScales{1, 128, 1.0F, 3.75F, {-1, 254, 1}},
    AddScales{127, 255, 0x1p120F, 0x1p120F, {-255, 0, 255}},
    AddScales{3, 250, 0x1p-120F, 1.7F, {-20, 235, 20}},
};

std::uint8_t sum_of(int lhs, int rhs, const AddScales& scales) {
  const float left = static_cast<float>(lhs - scales.lhs_zero_point) * scales.lhs_multiplier;
  const float right = static_cast<float>(rhs - scales.rhs_zero_point) * scales.rhs_multiplier;
  return round_and_clamp(left + right, scales.range);
}

void check_add(const AddVariant& variant, const AddScales& scales, Index count, Fence fence,
               test::Random& random) {
  constexpr Index kRows = 3;
  const Index lhs_stride = count + 1;
  const Index rhs_stride = count + 2;
  const Index out_stride = count + 3;
  const auto values = [&](Index stride) {
    return Fenced(random.values<std::uint8_t>(extent_of_rows(kRows, stride, count), 0, 255), fence);
  };
  const Fenced<std::uint8_t> lhs = values(lhs_stride);
  const Fenced<std::uint8_t> rhs = values(rhs_stride);
  test::GuardedBytes out(extent_of_rows(kRows, out_stride, count), fence);
  variant.kernel({.rows = kRows,
                  .count = count,
                  .lhs = lhs.data(),
                  .lhs_stride = lhs_stride,
                  .rhs = rhs.data(),
                  .rhs_stride = rhs_stride,
                  .out = out.data(),
                  .out_stride = out_stride},
                 scales);
  CHECK(out.is_intact([&](Index i) { return i % out_stride < count; }));
  for (Index row = 0; row < kRows; ++row) {
    for (Index i = 0; i < count; ++i) {
      CHECK_EQUAL(out[row * out_stride + i],
                  sum_of(lhs[row * lhs_stride + i], rhs[row * rhs_stride + i], scales));
    }
  }
}

TEST(every_add_kernel_equals_the_formula) {
  for (const AddVariant& variant : add_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(4);
    for (const AddScales& scales : kAddScales) {
      for (const Index count : kCounts) {
        test::set_context(variant.name, "count", count, "zero point", scales.lhs_zero_point);
        for (const Fence fence : kFences) check_add(variant, scales, count, fence, random);
      }
    }
  }
}

TEST(every_add_kernel_knows_all_sums) {
  for (const AddVariant& variant : add_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const AddScales& scales : kAddScales) {
      for (const std::uint8_t addend : kAllBytes) {
        test::set_context(variant.name, "zero point", scales.lhs_zero_point, "addend", int{addend});
        const std::vector<std::uint8_t> rhs(256, addend);
        std::vector<std::uint8_t> out(256);
        variant.kernel({1, 256, kAllBytes.data(), 0, rhs.data(), 0, out.data(), 0}, scales);
        for (int i = 0; i < 256; ++i) {
          CHECK_EQUAL(out[static_cast<std::size_t>(i)], sum_of(i, addend, scales));
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
    for (const Index count : kCounts) {
      for (const Fence fence : kFences) {
        test::set_context(variant.name, "count", count);
        const auto values = random.values<std::uint8_t>(count, 0, 255);
        const Fenced rhs(random.values<std::uint8_t>(count, 0, 255), fence);
        test::GuardedBytes lhs(count, fence);
        std::ranges::copy(values, lhs.data());
        variant.kernel({1, count, lhs.data(), 0, rhs.data(), 0, lhs.data(), 0}, scales);
        CHECK(lhs.is_intact(kEverywhere));
        for (Index i = 0; i < count; ++i) {
          CHECK_EQUAL(lhs[i], sum_of(values[static_cast<std::size_t>(i)], rhs[i], scales));
        }
      }
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

void check_multiply(const MultiplyVariant& variant, const MultiplyScales& scales, Index count,
                    bool has_one_rhs, Fence fence, test::Random& random) {
  constexpr Index kRows = 3;
  const Index lhs_stride = count + 1;
  const Index rhs_stride = has_one_rhs ? 0 : count + 2;
  const Index out_stride = count + 3;
  const auto values = [&](Index stride) {
    return Fenced(random.values<std::uint8_t>(extent_of_rows(kRows, stride, count), 0, 255), fence);
  };
  const Fenced<std::uint8_t> lhs = values(lhs_stride);
  const Fenced<std::uint8_t> rhs = values(rhs_stride);
  test::GuardedBytes out(extent_of_rows(kRows, out_stride, count), fence);
  variant.kernel(
      {kRows, count, lhs.data(), lhs_stride, rhs.data(), rhs_stride, out.data(), out_stride},
      scales);
  CHECK(out.is_intact([&](Index i) { return i % out_stride < count; }));
  for (Index row = 0; row < kRows; ++row) {
    for (Index i = 0; i < count; ++i) {
      const int product = (lhs[row * lhs_stride + i] - scales.lhs_zero_point) *
                          (rhs[row * rhs_stride + i] - scales.rhs_zero_point);
      CHECK_EQUAL(out[row * out_stride + i],
                  round_and_clamp(static_cast<float>(product) * scales.multiplier, scales.range));
    }
  }
}

TEST(every_multiply_kernel_equals_the_formula) {
  for (const MultiplyVariant& variant : multiply_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(10);
    for (const MultiplyScales& scales : kMultiplyScales) {
      for (const Index count : kCounts) {
        for (const bool has_one_rhs : {false, true}) {
          test::set_context(variant.name, "count", count, "one row on the right", has_one_rhs);
          for (const Fence fence : kFences) {
            check_multiply(variant, scales, count, has_one_rhs, fence, random);
          }
        }
      }
    }
  }
}

TEST(every_multiply_kernel_knows_all_products) {
  for (const MultiplyVariant& variant : multiply_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const std::int32_t zero_point : {0, 1, 127, 128, 131, 255}) {
      const MultiplyScales scales{zero_point, 255 - zero_point, 0.00195F, {-100, 155, 100}};
      for (const std::uint8_t factor : kAllBytes) {
        test::set_context(variant.name, "zero point", zero_point, "factor", int{factor});
        const std::vector<std::uint8_t> rhs(256, factor);
        std::vector<std::uint8_t> expected(256);
        std::vector<std::uint8_t> out(256);
        qu8_multiply_portable({1, 256, kAllBytes.data(), 0, rhs.data(), 0, expected.data(), 0},
                              scales);
        variant.kernel({1, 256, kAllBytes.data(), 0, rhs.data(), 0, out.data(), 0}, scales);
        CHECK(out == expected);
      }
    }
  }
}

void check_lookup(const LookupVariant& variant, Index count, Index gap, Fence fence) {
  constexpr Index kRows = 3;
  test::set_context(variant.name, "count", count, "gap", gap);
  test::Random random(5);
  const Fenced table(random.values<std::uint8_t>(256, 0, 255), fence);
  const Index x_stride = count + gap;
  const Index out_stride = count + 2 * gap;
  const Index extent = extent_of_rows(kRows, x_stride, count);
  std::vector<std::uint8_t> values(static_cast<std::size_t>(extent));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<std::uint8_t>(i * 7);
  const Fenced x(values, fence);
  test::GuardedBytes out(extent_of_rows(kRows, out_stride, count), fence);
  test::GuardedBytes in_place(extent, fence);
  std::ranges::copy(values, in_place.data());
  variant.kernel({kRows, count, x.data(), x_stride, out.data(), out_stride}, table.data());
  variant.kernel({kRows, count, in_place.data(), x_stride, in_place.data(), x_stride},
                 table.data());
  CHECK(out.is_intact([&](Index i) { return i % out_stride < count; }));
  CHECK(in_place.is_intact(kEverywhere));
  for (Index i = 0; i < extent; ++i) {
    const bool is_in_row = i % x_stride < count;
    CHECK_EQUAL(in_place[i], is_in_row ? table[x[i]] : x[i]);
    if (is_in_row) CHECK_EQUAL(out[i / x_stride * out_stride + i % x_stride], table[x[i]]);
  }
}

TEST(every_lookup_kernel_reads_every_entry) {
  for (const LookupVariant& variant : lookup_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (const Index count : kCounts) {
      for (const Index gap : {0, 1, 9}) {
        for (const Fence fence : kFences) check_lookup(variant, count, gap, fence);
      }
    }
  }
}

std::vector<float> awkward_floats(Index count, test::Random& random) {
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
    for (const Index count : kCounts) {
      for (const int zero_point : {0, 1, 127, 128, 255}) {
        test::set_context(variant.name, "count", count, "zero_point", zero_point);
        const OutputRange range{static_cast<float>(-zero_point),
                                static_cast<float>(255 - zero_point), zero_point};
        for (const Fence fence : kFences) {
          const Fenced x(awkward_floats(count, random), fence);
          test::GuardedBytes out(count, fence);
          variant.kernel(count, x.data(), {0.1F, range}, out.data());
          CHECK(out.is_intact(kEverywhere));
          for (Index i = 0; i < count; ++i) {
            CHECK_EQUAL(out[i], round_and_clamp(x[i] / 0.1F, range));
          }
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
    for (const Index count : kCounts) {
      test::set_context(variant.name, "count", count);
      const Index stride = count + 1;
      for (const Fence fence : kFences) {
        const Fenced x(awkward_floats(extent_of_rows(3, stride, count), random), fence);
        test::GuardedBytes out(3 * count, fence);
        variant.planes_kernel(count, x.data(), stride, {0.1F, range}, out.data());
        CHECK(out.is_intact(kEverywhere));
        for (Index i = 0; i < 3 * count; ++i) {
          CHECK_EQUAL(out[i], round_and_clamp(x[i % 3 * stride + i / 3] / 0.1F, range));
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
        variant.kernel(static_cast<Index>(x.size()), x.data(), {scale, range}, out.data());
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
    for (const Index count : kCounts) {
      for (const int zero_point : {0, 1, 127, 128, 255}) {
        test::set_context(variant.name, "count", count, "zero_point", zero_point);
        for (const Fence fence : kFences) {
          const Fenced x(random.values<std::uint8_t>(count, 0, 255), fence);
          test::GuardedBytes out(count * Index{sizeof(float)}, fence);
          const auto* floats = reinterpret_cast<float*>(out.data());
          variant.kernel(count, x.data(), 0.3F, zero_point, reinterpret_cast<float*>(out.data()));
          CHECK(out.is_intact(kEverywhere));
          for (Index i = 0; i < count; ++i) {
            CHECK_EQUAL(floats[i], static_cast<float>(x[i] - zero_point) * 0.3F);
          }
        }
      }
    }
  }
}

void check_transposition(const TransposeVariant& variant, Index rows, Index columns, Index gap,
                         Fence fence) {
  test::set_context(variant.name, rows, 'x', columns, "gap", gap);
  test::Random random(8);
  const Index x_stride = columns + gap;
  const Index out_stride = rows + gap;
  const Fenced x(random.values<std::uint8_t>(extent_of_rows(rows, x_stride, columns), 0, 255),
                 fence);
  test::GuardedBytes out(extent_of_rows(columns, out_stride, rows), fence);
  variant.kernel({rows, columns, x.data(), x_stride, out.data(), out_stride});
  CHECK(out.is_intact([&](Index i) { return i % out_stride < rows; }));
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < columns; ++j) {
      CHECK_EQUAL(out[j * out_stride + i], x[i * x_stride + j]);
    }
  }
}

TEST(every_transpose_kernel_moves_each_value) {
  for (const TransposeVariant& variant : transpose_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (Index rows = 1; rows <= 35; ++rows) {
      for (const Index columns : {1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 32, 33, 100}) {
        for (const Index gap : {0, 2}) {
          for (const Fence fence : kFences) {
            check_transposition(variant, rows, columns, gap, fence);
            check_transposition(variant, columns, rows, gap, fence);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
