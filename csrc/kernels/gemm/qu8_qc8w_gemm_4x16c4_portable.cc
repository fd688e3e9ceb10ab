#include "kernels/gemm/gemm.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kNr = 16;

void accumulate(const std::uint8_t* a, const std::int8_t* w, std::ptrdiff_t groups,
                std::uint32_t* acc) {
  for (std::ptrdiff_t k = 0; k < groups; ++k, a += 4, w += kNr * 4) {
    for (std::ptrdiff_t j = 0; j < kNr; ++j) {
      const int dot =
          a[0] * w[4 * j] + a[1] * w[4 * j + 1] + a[2] * w[4 * j + 2] + a[3] * w[4 * j + 3];
      acc[j] += static_cast<std::uint32_t>(dot);
    }
  }
}

void run_row(const GemmTile& tile, const std::uint8_t* a, std::uint8_t* out) {
  std::uint32_t acc[kNr];  // unsigned: sums wrap as they do in vector registers
  for (std::ptrdiff_t j = 0; j < kNr; ++j) acc[j] = static_cast<std::uint32_t>(tile.bias2[j]);
  for (std::ptrdiff_t segment = 0; segment < tile.segments; ++segment) {
    accumulate(a + tile.segment_offsets[segment], tile.weights + segment * tile.k_groups * kNr * 4,
               tile.k_groups, acc);
  }
  const ByteRange& bytes = tile.range;
  const OutputRange range{static_cast<float>(bytes.low - bytes.zero_point),
                          static_cast<float>(bytes.high - bytes.zero_point), bytes.zero_point};
  for (std::ptrdiff_t j = 0; j < tile.n; ++j) {
    const auto sum = static_cast<float>(static_cast<std::int32_t>(acc[j]));
    out[j] = round_and_clamp(sum * tile.multipliers[j], range);
  }
}

}  // namespace

void qu8_qc8w_gemm_4x16c4_portable(const GemmTile& tile) noexcept {
  const std::ptrdiff_t half = (tile.m + 1) / 2;
  for (std::ptrdiff_t i = 0; i < tile.m; ++i) {
    const std::ptrdiff_t row = i < half ? i : i - half;
    const int from = i < half ? 0 : 1;
    run_row(tile, tile.a[from] + row * tile.a_stride, tile.out[from] + row * tile.out_stride);
  }
}

}  // namespace smidgen::kernels
