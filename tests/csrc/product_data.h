#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <span>
#include <vector>

#include "base/shape.h"
#include "check.h"

// Values for sums of products that reach what implementations get wrong.

namespace smidgen::test {

enum class Data : std::uint8_t {
  kRandom,
  kExtreme,       // 255 times -128, where pairs of products leave 16 bits
  kAlternating,   // 255 and 0 times 127 and -128
  kTies,          // small sums times 1/2, 1/4 and such, which end in n + 1/2
  kBeyondFloats,  // sums next to 2^24, from where on not every integer is a float, next to ties
  kBeyondRaised,  // sums next to 2^23 and -2^23, up to which raised sums are exact
  kLarge,         // multipliers of 1 and more
  kLargest,       // sums times multipliers just below 2^31
  kWrapping,      // sums on both sides of what 32 bits hold
};

inline constexpr std::array kAllData = {Data::kRandom, Data::kExtreme,      Data::kAlternating,
                                        Data::kTies,   Data::kBeyondFloats, Data::kBeyondRaised,
                                        Data::kLarge,  Data::kLargest,      Data::kWrapping};

inline constexpr std::array<std::int32_t, 5> kZeroPoints = {0, 1, 127, 128, 255};

/// Some channels, each of which sums k products of its weights with values of x.
struct ProductData {
  std::vector<std::uint8_t> x;
  std::vector<std::int8_t> weights;  // [channels][k]
  std::vector<std::int32_t> bias;
  std::vector<float> multipliers;
};

/// Fills ProductData.
class ProductFiller {
 public:
  ProductFiller(Data data, std::int32_t zero_point, Random& random)
      : data_(data), zero_point_(zero_point), random_(random) {}

  ProductData fill(Index x_count, Index channels, Index k) {
    ProductData made{values(x_count), weights(channels * k), {}, {}};
    for (Index c = 0; c < channels; ++c) {
      const std::span<const std::int8_t> own(made.weights.data() + c * k,
                                             static_cast<std::size_t>(k));
      made.bias.push_back(bias(own));
      made.multipliers.push_back(multiplier(own, made.bias.back()));
    }
    return made;
  }

 private:
  bool is_any() const { return data_ == Data::kRandom || data_ == Data::kWrapping; }

  bool is_small() const {
    return data_ == Data::kTies || data_ == Data::kBeyondFloats || data_ == Data::kBeyondRaised ||
           data_ == Data::kLarge;
  }

  std::vector<std::uint8_t> values(Index count) {
    if (is_any()) return random_.values<std::uint8_t>(count, 0, 255);
    std::vector<std::uint8_t> x(static_cast<std::size_t>(count), 255);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (data_ == Data::kAlternating && i / 2 % 2 == 1) x[i] = 0;
      if (is_small())
        x[i] = static_cast<std::uint8_t>(
            std::clamp<std::int64_t>(zero_point_ + random_.between(-2, 2), 0, 255));
    }
    return x;
  }

  std::vector<std::int8_t> weights(Index count) {
    if (is_any()) return random_.values<std::int8_t>(count, -128, 127);
    if (is_small()) return random_.values<std::int8_t>(count, -2, 2);
    std::vector<std::int8_t> w(static_cast<std::size_t>(count), -128);
    for (std::size_t i = 1; i < w.size() && data_ == Data::kAlternating; i += 2) w[i] = 127;
    return w;
  }

  /// Of the extremes, what brings the sums of k values such as these back to where an output can
  /// tell one from another.
  std::int32_t bias(std::span<const std::int8_t> own) {
    if (data_ == Data::kRandom) return between(-100000, 100000);
    if (data_ == Data::kLargest) return 0;
    if (data_ == Data::kWrapping) {
      const std::int32_t below = between(0, 300);
      return below % 2 == 0 ? std::numeric_limits<std::int32_t>::max() - below
                            : std::numeric_limits<std::int32_t>::min() + below;
    }
    if (data_ == Data::kBeyondFloats) {
      return (random_.between(0, 1) == 0 ? -1 : 1) * (1 << 24) + between(-40, 40);
    }
    if (data_ == Data::kBeyondRaised) {
      return (random_.between(0, 1) == 0 ? -1 : 1) * (1 << 23) + between(-40, 40);
    }
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < own.size() && !is_small(); ++i) {
      const std::int32_t x = data_ == Data::kAlternating && i / 2 % 2 == 1 ? 0 : 255;
      sum += (x - zero_point_) * own[i];
    }
    return between(-300, 300) - sum;
  }

  float multiplier(std::span<const std::int8_t> own, std::int32_t own_bias) {
    const auto k = static_cast<float>(own.size());
    switch (data_) {
      case Data::kLarge:
        return one_of({1.0F, 1.5F, 2.75F, 37.0F, 1000.0F});
      case Data::kLargest:
        return largest_multiplier(own, own_bias);
      case Data::kBeyondFloats:
        return std::ldexp(static_cast<float>(2 * between(0, 126) + 1), -25);
      case Data::kBeyondRaised:  // on both sides of what lets 2^23 be 255
        return one_of({0x1P-15F, 0x1.8P-15F, 0x1.FFFFFEP-16F, 0x1P-16F, 0x1P-3F});
      case Data::kWrapping:
        return 5e-8F;
      case Data::kTies:
        return one_of({0.5F, 0.25F, 0.125F, 1.5F});
      default:
        return one_of({0.5F, 255.0F / (16129.0F * k), 1.5F});
    }
  }

  /// The largest with which |sum * multiplier| surely stays below 2^31.
  float largest_multiplier(std::span<const std::int8_t> own, std::int32_t own_bias) const {
    double folded = own_bias;
    double magnitude = 0.0;
    for (const std::int8_t w : own) {
      folded -= static_cast<double>(zero_point_) * w;
      magnitude += std::abs(w);
    }
    return static_cast<float>(2147482000.0 / std::max(1.0, std::fabs(folded) + 255.0 * magnitude));
  }

  std::int32_t between(std::int64_t low, std::int64_t high) {
    return static_cast<std::int32_t>(random_.between(low, high));
  }

  template <std::size_t kCount>
  float one_of(const float (&choices)[kCount]) {
    return choices[static_cast<std::size_t>(random_.between(0, std::int64_t{kCount} - 1))];
  }

  Data data_;
  std::int32_t zero_point_;
  Random& random_;
};

}  // namespace smidgen::test
