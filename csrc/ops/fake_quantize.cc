#include "ops/fake_quantize.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/partition.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

using kernels::FakeQuantizeRange;
using kernels::ValueRange;

constexpr Index kGrain = 1 << 14;  // floats of a part: some microseconds, and whole bytes of bits

constexpr float kWeightMax = 127.0F;

Index size_of(std::span<const float> x) { return static_cast<Index>(x.size()); }

int parts_of(Index count, int threads) {
  return static_cast<int>(std::clamp<Index>(ceil_div(count, kGrain), 1, threads));
}

/// A scale as qparams.symmetric_weight_scales chooses it. A NaN stays one.
float weight_scale(const ValueRange& range) {
  const float largest = std::max(-range.low, range.high);
  if (largest == 0.0F) return 1.0F;
  return static_cast<float>(std::clamp(static_cast<double>(largest) / kWeightMax, 0x1p-60, 0x1p60));
}

FakeQuantizeRange weight_range(float scale) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  return {.scale = scale,
          .low = -kWeightMax,
          .high = kWeightMax,
          .least = -kInfinity,
          .most = kInfinity,
          .blocked = std::numeric_limits<float>::quiet_NaN()};
}

ValueRange join(const ValueRange& a, const ValueRange& b) {
  if (std::isnan(a.low) || std::isnan(b.low)) return std::isnan(a.low) ? a : b;
  return {std::min(a.low, b.low), std::max(a.high, b.high)};
}

}  // namespace

FakeQuantizer::FakeQuantizer(Isa isa)
    : variant_(kernels::best_variant(kernels::fake_quantize_variants(), isa)) {}

void FakeQuantizer::round(std::span<const float> x, const FakeQuantizeRange& range,
                          std::span<float> out, std::span<std::uint8_t> bits,
                          int threads) const noexcept {
  const int parts = parts_of(size_of(x), threads);
  team_.run(threads, parts, [&](int part) {
    const auto [begin, end] = partition(size_of(x), kGrain, part, parts);
    variant_.kernel(end - begin, x.data() + begin, range, out.data() + begin,
                    bits.data() + bit_bytes(begin));
  });
}

float FakeQuantizer::round_row(std::span<const float> x, std::span<float> out,
                               std::uint8_t* bits) const noexcept {
  const float scale = weight_scale(variant_.range_kernel(size_of(x), x.data()));
  variant_.kernel(size_of(x), x.data(), weight_range(scale), out.data(), bits);
  return scale;
}

float FakeQuantizer::round_row(std::span<const float> x, float factor, std::span<float> out,
                               std::uint8_t* bits) const noexcept {
  std::ranges::transform(x, out.begin(), [=](float value) { return value * factor; });
  const float scale = round_row(out, out, bits);
  const float divisor = factor == 0.0F ? 1.0F : factor;
  for (float& value : out) value /= divisor;
  return scale;
}

void FakeQuantizer::round_weight(std::span<const float> weight, std::span<const float> factors,
                                 std::span<float> out, std::span<std::uint8_t> bits,
                                 std::span<float> scales, int threads) const noexcept {
  const std::size_t length = weight.size() / scales.size();
  const int parts = parts_of(size_of(weight), threads);
  team_.run(threads, parts, [&](int part) {
    const auto [begin, end] = partition(static_cast<Index>(scales.size()), 1, part, parts);
    for (auto row = static_cast<std::size_t>(begin); row < static_cast<std::size_t>(end); ++row) {
      const auto x = weight.subspan(row * length, length);
      const auto to = out.subspan(row * length, length);
      std::uint8_t* const passing =
          bits.data() + static_cast<Index>(row) * bit_bytes(static_cast<Index>(length));
      scales[row] =
          factors.empty() ? round_row(x, to, passing) : round_row(x, factors[row], to, passing);
    }
  });
}

void FakeQuantizer::pass_gradient(std::span<const float> gradient,
                                  std::span<const std::uint8_t> bits, std::span<float> out,
                                  int threads) const noexcept {
  const int parts = parts_of(size_of(gradient), threads);
  team_.run(threads, parts, [&](int part) {
    const auto [begin, end] = partition(size_of(gradient), kGrain, part, parts);
    variant_.gradient_kernel(end - begin, gradient.data() + begin, bits.data() + bit_bytes(begin),
                             out.data() + begin);
  });
}

void FakeQuantizer::pass_weight_gradient(std::span<const float> gradient, Index rows,
                                         std::span<const std::uint8_t> bits, std::span<float> out,
                                         int threads) const noexcept {
  const Index length = size_of(gradient) / rows;
  const int parts = parts_of(size_of(gradient), threads);
  team_.run(threads, parts, [&](int part) {
    const auto [begin, end] = partition(rows, 1, part, parts);
    for (Index row = begin; row < end; ++row) {
      variant_.gradient_kernel(length, gradient.data() + row * length,
                               bits.data() + row * bit_bytes(length), out.data() + row * length);
    }
  });
}

ValueRange FakeQuantizer::value_range(std::span<const float> x, int threads) const {
  const int parts = parts_of(size_of(x), threads);
  std::vector<ValueRange> ranges(static_cast<std::size_t>(parts));
  team_.run(threads, parts, [&](int part) {
    const auto [begin, end] = partition(size_of(x), kGrain, part, parts);
    ranges[static_cast<std::size_t>(part)] = variant_.range_kernel(end - begin, x.data() + begin);
  });
  ValueRange joined = ranges.front();
  for (const ValueRange& range : ranges) joined = join(joined, range);
  // Adding 0 makes one zero of the two, whichever came first in a part.
  return {joined.low + 0.0F, joined.high + 0.0F};
}

}  // namespace smidgen::ops
