#include "kernels/float32/wide.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace smidgen::kernels {
namespace {

constexpr double kRounder = 0x1.8p+52;  // adding and subtracting it rounds |t| < 2^51 half to even
constexpr double kLn2High = 0x1.62e42feep-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

constexpr double factorial(int n) { return n < 2 ? 1.0 : n * factorial(n - 1); }
constexpr double sign_of(std::size_t term) { return term % 2 == 0 ? 1.0 : -1.0; }

template <std::size_t Count, typename Term>
constexpr std::array<double, Count> series(const Term& term) {
  std::array<double, Count> terms{};
  for (std::size_t k = 0; k < Count; ++k) terms[k] = term(k);
  return terms;
}

constexpr auto kSin =
    series<8>([](std::size_t k) { return sign_of(k) / factorial(2 * static_cast<int>(k) + 1); });
constexpr auto kCos =
    series<9>([](std::size_t k) { return sign_of(k) / factorial(2 * static_cast<int>(k)); });
constexpr auto kLog =
    series<12>([](std::size_t k) { return 1.0 / static_cast<double>(2 * k + 1); });
constexpr auto kExp =
    series<14>([](std::size_t k) { return 1.0 / factorial(static_cast<int>(k)); });

template <std::size_t Count>
double polynomial(double x, const std::array<double, Count>& coefficients) {
  double value = coefficients[Count - 1];
  for (std::size_t i = Count - 1; i-- > 0;) value = value * x + coefficients[i];
  return value;
}

struct Turn {
  double angle;           // in about [-pi/4, pi/4]
  std::int64_t quarters;  // quarter turns before it
};

Turn turn_of(float x) {
  double wide = static_cast<double>(x);
  if (std::fabs(wide) > 0x1p+20) wide = std::fmod(wide, 0x1.921fb54442d18p+2);
  const double n = (wide * 0x1.45f306dc9c883p-1 + kRounder) - kRounder;
  const double angle =
      ((wide - n * 0x1.921fb544p+0) - n * 0x1.0b4611a6p-34) - n * 0x1.3198a2e037073p-69;
  return {angle, std::isnan(n) ? 0 : static_cast<std::int64_t>(n)};
}

float turned(double angle, std::int64_t quarters) {
  const double square = angle * angle;
  const bool is_cosine = quarters % 2 != 0;
  const double value = is_cosine ? polynomial(square, kCos) : angle * polynomial(square, kSin);
  return static_cast<float>((quarters & 3) >= 2 ? -value : value);
}

/// Of normal positive values.
double log(double x) {
  constexpr std::uint64_t kRootHalfBits = 0x3FE6A09E00000000;
  constexpr std::uint64_t kMantissa = (std::uint64_t{1} << 52U) - 1;
  const std::uint64_t shifted = std::bit_cast<std::uint64_t>(x) - kRootHalfBits;
  const auto e = static_cast<double>(static_cast<std::int64_t>(shifted) >> 52);
  const auto m = std::bit_cast<double>((shifted & kMantissa) + kRootHalfBits);
  const double s = (m - 1.0) / (m + 1.0);
  return e * kLn2High + (2.0 * s * polynomial(s * s, kLog) + e * kLn2Low);
}

/// Of values in [-200, 200].
double exp(double x) {
  const double n = (x * 0x1.71547652b82fep+0 + kRounder) - kRounder;
  const double r = (x - n * kLn2High) - n * kLn2Low;
  const std::int64_t exponent = static_cast<std::int64_t>(n) + 1023;
  const auto scale = std::bit_cast<double>(static_cast<std::uint64_t>(exponent) << 52U);
  return polynomial(r, kExp) * scale;
}

}  // namespace

float sine(float x) noexcept {
  const Turn turn = turn_of(x);
  return turned(turn.angle, turn.quarters);
}

float cosine(float x) noexcept {
  const Turn turn = turn_of(x);
  return turned(turn.angle, turn.quarters + 1);
}

float power(float base, float exponent) noexcept {
  const auto b = static_cast<double>(base);
  const auto e = static_cast<double>(exponent);
  if (e == 0.0 || b == 1.0) return 1.0F;
  if (std::isnan(b) || std::isnan(e)) return std::numeric_limits<float>::quiet_NaN();
  const double size = std::fabs(b);
  const bool is_integer = std::floor(e) == e;
  double value;
  if (size > 0.0 && std::isfinite(size) && std::isfinite(e)) {
    if (b < 0.0 && !is_integer) return std::numeric_limits<float>::quiet_NaN();
    const double product = e * log(size);
    value = exp(product < -200.0 ? -200.0 : (product > 200.0 ? 200.0 : product));
  } else if (size == 1.0) {
    value = 1.0;  // to an infinite power
  } else {
    value = (size > 1.0) == (e > 0.0) ? std::numeric_limits<double>::infinity() : 0.0;
  }
  const bool is_odd = is_integer && std::floor(e / 2.0) * 2.0 != e;
  return static_cast<float>(std::signbit(b) && is_odd ? -value : value);
}

}  // namespace smidgen::kernels
