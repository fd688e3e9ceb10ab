#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/fake_quantize/registry.h"
#include "kernels/round_and_clamp.h"
#include "ops/fake_quantize.h"

using namespace smidgen;
using namespace smidgen::kernels;
using test::Fence;
using test::Fenced;
using test::kFences;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::array<Index, 12> kCounts = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 131};

/// What the kernels give for one value.
struct Expected {
  float out;
  bool passes;
};

/// The formula, by way of the byte that quantize makes.
Expected expect(float x, const FakeQuantizeRange& range) {
  const bool is_clamped = x < range.least || x > range.most;
  const float y = x < range.least ? range.least : (x > range.most ? range.most : x);
  const float t = y / range.scale;
  const int zero_point = static_cast<int>(-range.low);
  const std::uint8_t byte = round_and_clamp(t, OutputRange{range.low, range.high, zero_point});
  const bool is_inside = t >= range.low && t <= range.high;
  return {static_cast<float>(byte - zero_point) * range.scale,
          !is_clamped && is_inside && !(x == range.blocked)};
}

std::vector<FakeQuantizeRange> ranges() {
  std::vector<FakeQuantizeRange> all;
  for (const float low : {0.0F, -1.0F, -127.0F, -128.0F, -255.0F}) {
    const float high = low == -127.0F ? 127.0F : 255.0F + low;
    for (const float scale : {0.1F, 1.0F / 255.0F, 0x1p-60F, 0x1p60F, 0x1.fffffcp-9F}) {
      all.push_back({scale, low, high, -kInfinity, kInfinity, kNan});
      all.push_back({scale, low, high, 0.0F, kInfinity, 0.0F});
      all.push_back({scale, low, high, -1.5F * scale, 6.0F * scale, kNan});
    }
  }
  return all;
}

/// Values on ties and bounds, beside them and far from them, and all that are no numbers.
std::vector<float> awkward_floats(Index count, float scale, test::Random& random) {
  const std::array<float, 12> special = {0.0F,      -0.0F, 1e-42F, -1e-42F,    1e38F,     -1e38F,
                                         kInfinity, kNan,  scale,  -kInfinity, 6 * scale, -kNan};
  std::vector<float> x(static_cast<std::size_t>(count));
  for (float& value : x) {
    const auto pick = static_cast<std::size_t>(random.between(0, 35));
    value = pick < special.size() ? special[pick]
                                  : static_cast<float>(random.between(-600, 600)) * 0.5F * scale;
    if (random.between(0, 3) == 0) value = std::nextafterf(value, kInfinity);
  }
  return x;
}

/// Bytes, so that a NaN equals itself and the two zeros differ.
bool are_same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
}

bool bit_of(const std::uint8_t* bits, Index i) { return (bits[i / 8] >> (i % 8) & 1) != 0; }

constexpr auto kEverywhere = [](Index) { return true; };

template <typename Check>
void for_each_variant(const Check& check) {
  for (const FakeQuantizeVariant& variant : fake_quantize_variants()) {
    if (cpu_has(variant.isa)) check(variant);
  }
}

}  // namespace

TEST(every_fake_quantize_kernel_equals_quantizing_and_dequantizing) {
  for_each_variant([](const FakeQuantizeVariant& variant) {
    test::Random random(1);
    for (const Index count : kCounts) {
      for (const FakeQuantizeRange& range : ranges()) {
        test::set_context(variant.name, "count", count, "scale", range.scale, "low", range.low,
                          "least", range.least);
        for (const Fence fence : kFences) {
          const Fenced x(awkward_floats(count, range.scale, random), fence);
          test::GuardedBytes out(count * Index{sizeof(float)}, fence);
          test::GuardedBytes bits(ops::bit_bytes(count), fence);
          const auto* floats = reinterpret_cast<float*>(out.data());
          variant.kernel(count, x.data(), range, reinterpret_cast<float*>(out.data()), bits.data());
          CHECK(out.is_intact(kEverywhere));
          CHECK(bits.is_intact(kEverywhere));
          for (Index i = 0; i < count; ++i) {
            const Expected expected = expect(x[i], range);
            CHECK(are_same(floats[i], expected.out));
            CHECK_EQUAL(bit_of(bits.data(), i), expected.passes);
          }
          for (Index i = count; i < 8 * ops::bit_bytes(count); ++i) {
            CHECK(!bit_of(bits.data(), i));
          }
        }
      }
    }
  });
}

TEST(every_fake_quantize_kernel_may_write_what_it_reads) {
  const FakeQuantizeRange range{0.1F, -100.0F, 155.0F, 0.0F, 6.0F, kNan};
  for_each_variant([&](const FakeQuantizeVariant& variant) {
    test::Random random(2);
    for (const Index count : kCounts) {
      test::set_context(variant.name, "count", count);
      const std::vector<float> x = awkward_floats(count, range.scale, random);
      std::vector<float> written = x;
      std::vector<std::uint8_t> bits(static_cast<std::size_t>(ops::bit_bytes(count)));
      variant.kernel(count, written.data(), range, written.data(), bits.data());
      for (std::size_t i = 0; i < x.size(); ++i) {
        CHECK(are_same(written[i], expect(x[i], range).out));
      }
    }
  });
}

TEST(every_gradient_kernel_passes_what_has_a_bit) {
  for_each_variant([](const FakeQuantizeVariant& variant) {
    test::Random random(3);
    for (const Index count : kCounts) {
      test::set_context(variant.name, "count", count);
      for (const Fence fence : kFences) {
        const Fenced gradient(awkward_floats(count, 0.1F, random), fence);
        const Fenced bits(random.values<std::uint8_t>(ops::bit_bytes(count), 0, 255), fence);
        test::GuardedBytes out(count * Index{sizeof(float)}, fence);
        const auto* floats = reinterpret_cast<float*>(out.data());
        variant.gradient_kernel(count, gradient.data(), bits.data(),
                                reinterpret_cast<float*>(out.data()));
        CHECK(out.is_intact(kEverywhere));
        for (Index i = 0; i < count; ++i) {
          CHECK(are_same(floats[i], bit_of(bits.data(), i) ? gradient[i] : 0.0F));
        }
      }
    }
  });
}

TEST(every_range_kernel_finds_the_ends_wherever_they_are) {
  for_each_variant([](const FakeQuantizeVariant& variant) {
    test::Random random(4);
    for (const Index count : kCounts) {
      for (Index place = 0; place < count; ++place) {
        test::set_context(variant.name, "count", count, "place", place);
        std::vector<float> x(static_cast<std::size_t>(count));
        for (float& value : x) value = static_cast<float>(random.between(-100, 100));
        const auto at = static_cast<std::size_t>(place);
        for (const float end : {-kInfinity, -101.0F, 101.0F, kInfinity}) {
          x[at] = end;
          const auto [low, high] = std::ranges::minmax(x);
          const Fenced fenced(x, place % 2 == 0 ? Fence::kBehind : Fence::kBefore);
          const ValueRange found = variant.range_kernel(count, fenced.data());
          CHECK_EQUAL(found.low, low);
          CHECK_EQUAL(found.high, high);
        }
        x[at] = kNan;
        const ValueRange found = variant.range_kernel(count, x.data());
        CHECK(std::isnan(found.low) && std::isnan(found.high));
      }
    }
  });
}

TEST(fake_quantization_does_not_depend_on_threads) {
  constexpr Index kCount = (1 << 14) * 3 + 5;
  const FakeQuantizeRange range{0.1F, -100.0F, 155.0F, -kInfinity, kInfinity, kNan};
  test::Random random(5);
  std::vector<float> x(static_cast<std::size_t>(kCount));
  for (float& value : x) value = static_cast<float>(random.between(-3000, 3000)) * 0.01F;
  for (const Isa isa : available_isas()) {
    const ops::FakeQuantizer quantizer(isa);
    for (const int threads : {1, 2, 3, 9}) {
      test::set_context(name_of(isa), "threads", threads);
      std::vector<float> out(x.size());
      std::vector<float> passed(x.size());
      std::vector<std::uint8_t> bits(static_cast<std::size_t>(ops::bit_bytes(kCount)));
      quantizer.round(x, range, out, bits, threads);
      quantizer.pass_gradient(x, bits, passed, threads);
      for (std::size_t i = 0; i < x.size(); ++i) {
        const Expected expected = expect(x[i], range);
        CHECK(are_same(out[i], expected.out));
        CHECK(are_same(passed[i], expected.passes ? x[i] : 0.0F));
      }
      const auto [low, high] = std::ranges::minmax(x);
      const ValueRange found = quantizer.value_range(x, threads);
      CHECK_EQUAL(found.low, low);
      CHECK_EQUAL(found.high, high);
    }
  }
}

TEST(weights_are_rounded_by_a_scale_for_each_row) {
  constexpr Index kRows = 37;
  test::Random random(6);
  for (const Index length : {Index{1}, Index{9}, Index{25}, Index{2000}}) {
    std::vector<float> weight(static_cast<std::size_t>(kRows * length));
    for (float& value : weight) value = static_cast<float>(random.between(-1000, 1000)) * 1e-3F;
    std::fill_n(weight.begin(), length, 0.0F);
    for (const Isa isa : available_isas()) {
      const ops::FakeQuantizer quantizer(isa);
      for (const int threads : {1, 3}) {
        test::set_context(name_of(isa), "length", length, "threads", threads);
        std::vector<float> out(weight.size());
        std::vector<float> passed(weight.size());
        std::vector<float> scales(kRows);
        std::vector<std::uint8_t> bits(static_cast<std::size_t>(kRows * ops::bit_bytes(length)));
        quantizer.round_weight(weight, {}, out, bits, scales, threads);
        quantizer.pass_weight_gradient(weight, kRows, bits, passed, threads);
        CHECK_EQUAL(scales[0], 1.0F);
        for (std::size_t i = 0; i < weight.size(); ++i) {
          const float scale = scales[i / static_cast<std::size_t>(length)];
          const FakeQuantizeRange range{scale, -127.0F, 127.0F, -kInfinity, kInfinity, kNan};
          const Expected expected = expect(weight[i], range);
          CHECK(are_same(out[i], expected.out));
          CHECK(are_same(passed[i], expected.passes ? weight[i] : 0.0F));
        }
      }
    }
  }
}

TEST(weights_are_rounded_between_a_factor_and_its_inverse) {
  constexpr Index kRows = 5;
  constexpr Index kLength = 19;
  const std::vector<float> factors = {0.3F, -7.0F, 0.0F, 1e-30F, 1.0F};
  test::Random random(7);
  std::vector<float> weight(static_cast<std::size_t>(kRows * kLength));
  for (float& value : weight) value = static_cast<float>(random.between(-1000, 1000)) * 1e-3F;
  std::vector<float> scaled = weight;
  for (std::size_t i = 0; i < weight.size(); ++i) scaled[i] *= factors[i / kLength];
  for (const Isa isa : available_isas()) {
    test::set_context(name_of(isa));
    const ops::FakeQuantizer quantizer(isa);
    std::vector<float> out(weight.size());
    std::vector<float> expected(weight.size());
    std::vector<float> scales(kRows);
    std::vector<float> expected_scales(kRows);
    std::vector<std::uint8_t> bits(static_cast<std::size_t>(kRows * ops::bit_bytes(kLength)));
    std::vector<std::uint8_t> expected_bits(bits.size());
    quantizer.round_weight(weight, factors, out, bits, scales, 2);
    quantizer.round_weight(scaled, {}, expected, expected_bits, expected_scales, 1);
    CHECK(scales == expected_scales);
    CHECK(bits == expected_bits);
    for (std::size_t i = 0; i < weight.size(); ++i) {
      const float factor = factors[i / kLength];
      CHECK(are_same(out[i], expected[i] / (factor == 0.0F ? 1.0F : factor)));
    }
  }
}
