#include "kernels/depthwise/depthwise.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kBlock = 16;

void run_block(const DepthwiseRow& row, std::ptrdiff_t pixel, std::ptrdiff_t first) {
  const std::ptrdiff_t channels = row.channels - first < kBlock ? row.channels - first : kBlock;
  const std::uint8_t* x = row.x + pixel * row.x_pixel_stride + first;
  const std::int8_t* w = row.weights + first * row.taps;
  std::uint32_t acc[kBlock];  // unsigned: sums wrap as they do in vector registers
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    acc[c] = static_cast<std::uint32_t>(row.bias2[first + c]);
  }
  for (std::ptrdiff_t t = 0; t < row.taps; ++t, w += kBlock) {
    const std::uint8_t* tap = x + row.tap_offsets[t];
    for (std::ptrdiff_t c = 0; c < channels; ++c) {
      acc[c] += static_cast<std::uint32_t>(tap[c] * w[c]);
    }
  }
  std::uint8_t* out = row.out + pixel * row.out_pixel_stride + first;
  for (std::ptrdiff_t c = 0; c < channels; ++c) {
    const auto sum = static_cast<float>(static_cast<std::int32_t>(acc[c]));
    out[c] = round_and_clamp(sum * row.multipliers[first + c], row.range);
  }
}

}  // namespace

void qu8_qc8w_depthwise_16c1_portable(const DepthwiseRow& row) noexcept {
  for (std::ptrdiff_t first = 0; first < row.channels; first += kBlock) {
    for (std::ptrdiff_t pixel = 0; pixel < row.pixels; ++pixel) run_block(row, pixel, first);
  }
}

}  // namespace smidgen::kernels
