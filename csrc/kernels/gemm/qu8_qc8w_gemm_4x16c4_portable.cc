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

std::uint8_t to_byte(float scaled, const GemmOutputs& outputs) {
  return round_and_clamp(scaled, relative_to_zero_point(outputs.range));
}

std::uint8_t with_addend(float scaled, std::uint8_t addend, const GemmOutputs& outputs) {
  const GemmAddend& added = *outputs.addend;
  // Rounded without adding a zero point, so below 256 in magnitude.
  const float above = scaled > added.own_low ? scaled : added.own_low;
  const float own = std::rintf(above < added.own_high ? above : added.own_high);
  const float own_part = own * added.own_multiplier;
  const float other_part = static_cast<float>(addend - added.zero_point) * added.multiplier;
  return to_byte(own_part + other_part, outputs);
}

float of_scaled_row(std::uint32_t acc, const RowQuantization& row, const GemmOutputs& outputs,
                    std::ptrdiff_t column) {
  const auto correction = static_cast<std::uint32_t>(row.zero_point) *
                          static_cast<std::uint32_t>(outputs.column_sums[column]);
  const float scale = row.scale * outputs.multipliers[column];
  return static_cast<float>(static_cast<std::int32_t>(acc - correction)) * scale +
         outputs.bias[column];
}

/// Computes columns [first, first + kNr) of row `row` of one half of a tile.
void run_row(const GemmBlock& block, const GemmTile& tile, std::ptrdiff_t first, int half,
             std::ptrdiff_t row) {
  const GemmOutputs& outputs = block.outputs;
  const std::uint8_t* a = tile.a[half] + row * block.a_stride;
  const std::int8_t* weights = block.weights + first * block.segments * block.k_groups * 4;
  std::uint32_t acc[kNr];  // unsigned: sums wrap as they do in vector registers
  for (std::ptrdiff_t j = 0; j < kNr; ++j) {
    acc[j] = static_cast<std::uint32_t>(outputs.bias2[first + j]);
  }
  for (std::ptrdiff_t segment = 0; segment < block.segments; ++segment) {
    accumulate(a + block.segment_offsets[segment], weights + segment * block.k_groups * kNr * 4,
               block.k_groups, acc);
  }
  std::uint8_t* out = tile.out[half] + row * outputs.stride;
  auto* floats = reinterpret_cast<float*>(out);
  for (std::ptrdiff_t j = 0; j < kNr && first + j < outputs.n; ++j) {
    const std::ptrdiff_t at = outputs.column + first + j;
    const auto scaled =
        static_cast<float>(static_cast<std::int32_t>(acc[j])) * outputs.multipliers[first + j];
    switch (outputs.ending) {
      case GemmEnding::kBytes:
        out[at] = to_byte(scaled, outputs);
        break;
      case GemmEnding::kBytesWithAddend:
        out[at] = with_addend(scaled, tile.addend[half][row * outputs.addend_stride + at], outputs);
        break;
      case GemmEnding::kFloats:
        floats[at] = scaled;
        break;
      case GemmEnding::kFloatsOfScaledRows:
        floats[at] = of_scaled_row(acc[j], tile.row_quantization[half][row], outputs, first + j);
        break;
    }
  }
}

}  // namespace

void qu8_qc8w_gemm_4x16c4_portable(const GemmBlock& block) noexcept {
  const std::ptrdiff_t half = (block.m + 1) / 2;
  for (std::ptrdiff_t first = 0; first < block.outputs.n; first += kNr) {
    for (std::ptrdiff_t i = 0; i < block.tile_count; ++i) {
      const GemmTile& tile = block.tiles[i];
      for (std::ptrdiff_t row = 0; row < half; ++row) run_row(block, tile, first, 0, row);
      for (std::ptrdiff_t row = half; row < block.m; ++row) {
        run_row(block, tile, first, 1, row - half);
      }
    }
  }
}

}  // namespace smidgen::kernels
