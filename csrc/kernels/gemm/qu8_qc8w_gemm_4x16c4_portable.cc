#include <cmath>

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

OutputRange relative_to_zero_point(const ByteRange& range) {
  return {static_cast<float>(range.low - range.zero_point),
          static_cast<float>(range.high - range.zero_point), range.zero_point};
}

std::uint8_t with_addend(float scaled, std::uint8_t addend, const GemmTile& tile) {
  const GemmAddend& added = *tile.addend;
  // Rounded without adding a zero point, so below 256 in magnitude.
  const float above = scaled > added.own_low ? scaled : added.own_low;
  const float own = std::rintf(above < added.own_high ? above : added.own_high);
  const float own_part = own * added.own_multiplier;
  const float other_part = static_cast<float>(addend - added.zero_point) * added.multiplier;
  return round_and_clamp(own_part + other_part, relative_to_zero_point(tile.range));
}

float of_scaled_row(std::uint32_t acc, const RowQuantization& row, const GemmTile& tile,
                    std::ptrdiff_t j) {
  const auto correction =
      static_cast<std::uint32_t>(row.zero_point) * static_cast<std::uint32_t>(tile.column_sums[j]);
  const float scale = row.scale * tile.multipliers[j];
  return static_cast<float>(static_cast<std::int32_t>(acc - correction)) * scale + tile.bias[j];
}

std::uint8_t to_byte(float scaled, const GemmTile& tile) {
  return round_and_clamp(scaled, relative_to_zero_point(tile.range));
}

/// Row `row` of one half of a tile.
void run_row(const GemmTile& tile, int half, std::ptrdiff_t row) {
  const std::uint8_t* a = tile.a[half] + row * tile.a_stride;
  std::uint8_t* out = tile.out[half] + row * tile.out_stride;
  auto* floats = reinterpret_cast<float*>(out);
  std::uint32_t acc[kNr];  // unsigned: sums wrap as they do in vector registers
  for (std::ptrdiff_t j = 0; j < kNr; ++j) acc[j] = static_cast<std::uint32_t>(tile.bias2[j]);
  for (std::ptrdiff_t segment = 0; segment < tile.segments; ++segment) {
    accumulate(a + tile.segment_offsets[segment], tile.weights + segment * tile.k_groups * kNr * 4,
               tile.k_groups, acc);
  }
  for (std::ptrdiff_t j = 0; j < tile.n; ++j) {
    const auto scaled = static_cast<float>(static_cast<std::int32_t>(acc[j])) * tile.multipliers[j];
    switch (tile.ending) {
      case GemmEnding::kBytes:
        out[j] = to_byte(scaled, tile);
        break;
      case GemmEnding::kBytesWithAddend:
        out[j] = with_addend(scaled, tile.addend_rows[half][row * tile.addend_stride + j], tile);
        break;
      case GemmEnding::kFloats:
        floats[j] = scaled;
        break;
      case GemmEnding::kFloatsOfScaledRows:
        floats[j] = of_scaled_row(acc[j], tile.row_quantization[half][row], tile, j);
        break;
    }
  }
}

}  // namespace

void qu8_qc8w_gemm_4x16c4_portable(const GemmTile& tile) noexcept {
  const std::ptrdiff_t half = (tile.m + 1) / 2;
  for (std::ptrdiff_t first = 0; first < tile.tiles * tile.m; first += tile.m) {
    for (std::ptrdiff_t i = 0; i < half; ++i) run_row(tile, 0, first + i);
    for (std::ptrdiff_t i = half; i < tile.m; ++i) run_row(tile, 1, first + i - half);
  }
}

}  // namespace smidgen::kernels
