#include "kernels/gemm/gemm.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kNr = 16;

void accumulate(const std::uint8_t* a, const std::int8_t* w, std::ptrdiff_t k4,
                std::uint32_t* acc) {
  for (std::ptrdiff_t k = 0; k < k4; ++k, a += 4, w += kNr * 4) {
    for (std::ptrdiff_t j = 0; j < kNr; ++j) {
      const int dot =
          a[0] * w[4 * j] + a[1] * w[4 * j + 1] + a[2] * w[4 * j + 2] + a[3] * w[4 * j + 3];
      acc[j] += static_cast<std::uint32_t>(dot);
    }
  }
}

}  // namespace

void qu8_qc8w_gemm_4x16c4_portable(const GemmTile& tile) noexcept {
  for (std::ptrdiff_t i = 0; i < tile.m; ++i) {
    std::uint32_t acc[kNr];  // unsigned: sums wrap as they do in vector registers
    for (std::ptrdiff_t j = 0; j < kNr; ++j) acc[j] = static_cast<std::uint32_t>(tile.bias2[j]);
    accumulate(tile.a + i * tile.a_stride, tile.weights, tile.k4, acc);
    for (std::ptrdiff_t j = 0; j < tile.n; ++j) {
      const auto sum = static_cast<float>(static_cast<std::int32_t>(acc[j]));
      tile.out[i * tile.out_stride + j] = round_and_clamp(sum * tile.multipliers[j], tile.range);
    }
  }
}

}  // namespace smidgen::kernels
