#include "kernels/pool/pool.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kBlock = 64;

void average_block(const PoolWindow& window, const AverageScaling& scaling, std::ptrdiff_t first,
                   std::ptrdiff_t channels) {
  std::uint32_t sums[kBlock];
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    sums[c] = static_cast<std::uint32_t>(scaling.offset);
  }
  for (std::ptrdiff_t row = 0; row < window.rows; ++row) {
    for (std::ptrdiff_t column = 0; column < window.columns; ++column) {
      const std::uint8_t* x =
          window.x + row * window.row_stride + column * window.column_stride + first;
      for (std::ptrdiff_t c = 0; c < channels; ++c) sums[c] += x[c];
    }
  }
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    const auto total = static_cast<float>(static_cast<std::int32_t>(sums[c]));
    const float scaled = total * scaling.multiplier;
    window.out[first + c] = round_and_clamp(scaled / scaling.count, scaling.range);
  }
}

}  // namespace

void qu8_average_portable(const PoolWindow& window, const AverageScaling& scaling) noexcept {
  for (std::ptrdiff_t first = 0; first < window.channels; first += kBlock) {
    const std::ptrdiff_t left = window.channels - first;
    average_block(window, scaling, first, left < kBlock ? left : kBlock);
  }
}

}  // namespace smidgen::kernels
