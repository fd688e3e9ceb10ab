#include "kernels/peak/measure.h"

#include <algorithm>
#include <array>
#include <chrono>

#include "kernels/peak/registry.h"

namespace smidgen::kernels {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::ptrdiff_t kRounds = 100'000;
constexpr auto kDuration = std::chrono::milliseconds(30);

}  // namespace

std::optional<double> measure_peak(Isa isa) {
  const std::span<const PeakVariant> variants = peak_variants();
  const auto variant = std::ranges::find(variants, isa, &PeakVariant::isa);
  if (variant == variants.end()) return std::nullopt;
  std::array<std::int32_t, std::size_t{kPeakSums}> sums;
  const Clock::time_point begin = Clock::now();
  double fastest = 1.0;
  while (Clock::now() - begin < kDuration) {
    const Clock::time_point start = Clock::now();
    variant->kernel(kRounds, sums.data());
    fastest = std::min(fastest, std::chrono::duration<double>(Clock::now() - start).count());
  }
  return static_cast<double>(kRounds) * kPeakChains * variant->products / fastest;
}

}  // namespace smidgen::kernels
