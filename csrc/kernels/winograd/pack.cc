#include "kernels/winograd/pack.h"

#include <algorithm>
#include <array>

namespace smidgen::kernels {
namespace {

constexpr Index kTaps = 9;

/// Tells whether y = sum of values in [0, 255] times these weights is in [-2^25, 2^25).
bool is_exact(std::span<const std::int8_t> column) {
  constexpr std::int64_t kLargestValue = 255;
  constexpr std::int64_t kBound = 1 << 25;
  std::int64_t above = 0;
  std::int64_t below = 0;
  for (const std::int8_t weight : column) {
    above += std::max<std::int64_t>(weight, 0);
    below += std::max<std::int64_t>(-weight, 0);
  }
  return kLargestValue * above < kBound && kLargestValue * below < kBound;
}

/// The rows of G, times three values.
std::array<std::int32_t, 6> multiply_with_g(std::int32_t a, std::int32_t b, std::int32_t c) {
  return {6 * a, -(a + b + c), b - a - c, a + 2 * b + 4 * c, a - 2 * b + 4 * c, 6 * c};
}

/// Writes G g G^T, `pitch` words apart, of the weights g of a column and a channel, `channels`
/// apart.
void transform(const std::int8_t* g, Index channels, std::int16_t* u, Index pitch) {
  std::array<std::array<std::int32_t, 6>, 3> columns;
  for (Index j = 0; j < 3; ++j) {
    columns[static_cast<std::size_t>(j)] =
        multiply_with_g(g[j * channels], g[(3 + j) * channels], g[(6 + j) * channels]);
  }
  for (std::size_t i = 0; i < 6; ++i) {
    for (const std::int32_t value : multiply_with_g(columns[0][i], columns[1][i], columns[2][i])) {
      *u = static_cast<std::int16_t>(value);
      u += pitch;
    }
  }
}

}  // namespace

Index winograd_bytes(const WinogradVariant& variant, Index channels, Index columns) {
  return 2 * kWinogradPositions * channels * round_up(columns, variant.nr);
}

std::optional<PackedWinograd> pack_winograd(const WinogradVariant& variant, Index channels,
                                            std::span<const std::int8_t> weights) {
  const Index column_weights = kTaps * channels;
  const Index columns = static_cast<Index>(weights.size()) / column_weights;
  if (channels % variant.channels != 0) return std::nullopt;
  for (Index j = 0; j < columns; ++j) {
    if (!is_exact(weights.subspan(static_cast<std::size_t>(j * column_weights),
                                  static_cast<std::size_t>(column_weights)))) {
      return std::nullopt;
    }
  }
  PackedWinograd packed{&variant, channels, columns,
                        AlignedBuffer(winograd_bytes(variant, channels, columns))};
  const Index pitch = channels * variant.nr;  // words of a position
  for (Index first = 0; first < columns; first += variant.nr) {
    std::int16_t* panel = packed.weights.as<std::int16_t>() + first * kWinogradPositions * channels;
    const Index count = std::min(variant.nr, columns - first);
    for (Index channel = 0; channel < channels; ++channel) {
      std::int16_t* group = panel + channel / 2 * 2 * variant.nr + channel % 2;
      for (Index j = 0; j < count; ++j) {
        transform(weights.data() + (first + j) * column_weights + channel, channels, group + 2 * j,
                  pitch);
      }
    }
  }
  return packed;
}

}  // namespace smidgen::kernels
