#include "kernels/pool/pool.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kBlock = 64;

void average_block(const PoolRun& run, const AverageScaling& scaling, const std::uint8_t* x,
                   std::uint8_t* out, std::ptrdiff_t channels) {
  std::uint32_t sums[kBlock];
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    sums[c] = static_cast<std::uint32_t>(scaling.offset);
  }
  for (std::ptrdiff_t row = 0; row < run.rows; ++row) {
    for (std::ptrdiff_t column = 0; column < run.columns; ++column) {
      const std::uint8_t* pixel = x + row * run.row_stride + column * run.column_stride;
      for (std::ptrdiff_t c = 0; c < channels; ++c) sums[c] += pixel[c];
    }
  }
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    const auto total = static_cast<float>(static_cast<std::int32_t>(sums[c]));
    const float scaled = total * scaling.multiplier;
    out[c] = round_and_clamp(scaled / scaling.count, scaling.range);
  }
}

}  // namespace

void qu8_average_portable(const PoolRun& run, const AverageScaling& scaling) noexcept {
  for (std::ptrdiff_t window = 0; window < run.windows; ++window) {
    const std::uint8_t* x = run.x + window * run.window_stride;
    std::uint8_t* out = run.out + window * run.out_stride;
    for (std::ptrdiff_t first = 0; first < run.channels; first += kBlock) {
      const std::ptrdiff_t left = run.channels - first;
      average_block(run, scaling, x + first, out + first, left < kBlock ? left : kBlock);
    }
  }
}

}  // namespace smidgen::kernels
