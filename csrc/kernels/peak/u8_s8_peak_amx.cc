#include <immintrin.h>

#include "kernels/peak/peak.h"
#include "kernels/simd/tile_registers.inc"

namespace smidgen::kernels {

/// Four sums are enough to hide the latency of a product of tiles, which takes 16 cycles of a unit.
void u8_s8_peak_amx(std::ptrdiff_t rounds, std::int32_t* sums) noexcept {
  constexpr int kSums = 4;
  static_assert(kPeakChains % kSums == 0);
  const TileRegisters registers(
      {kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows, kTileRows});
  for (std::ptrdiff_t turn = 0; turn < rounds * kPeakChains / kSums; ++turn) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_stored(0, sums, kTileRowBytes);
}

}  // namespace smidgen::kernels
