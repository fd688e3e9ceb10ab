#include "kernels/winograd/run.h"

#include <algorithm>
#include <array>
#include <span>

namespace smidgen::kernels {
namespace {

constexpr Index kStripBytes = 512 * 1024;  // of transformed values and sums
constexpr Index kTilesAtOnce = 32;

using Strip = std::array<WinogradTile, static_cast<std::size_t>(kTilesAtOnce)>;

/// Bytes of transformed values and sums of a tile.
Index tile_bytes(const PackedWinograd& packed) {
  return kWinogradPositions * (2 * packed.channels + 4 * packed.variant->nr);
}

/// The most tiles that a kernel gets at a time: whole pieces of what it multiplies at once.
Index strip_tiles(const PackedWinograd& packed) {
  const Index mr = packed.variant->mr;
  const Index fitting = std::min(kTilesAtOnce, kStripBytes / tile_bytes(packed));
  return std::max(Index{1}, fitting / mr) * mr;
}

WinogradTile tile_at(const GemmRows& rows, Index index) {
  const Index tiles_of_line = ceil_div(rows.width, kWinogradOutputs);
  const Index tile_lines = ceil_div(rows.lines, kWinogradOutputs);
  const Index line_of_tiles = index / tiles_of_line;
  const Index image = line_of_tiles / tile_lines;
  const Index line = (line_of_tiles - image * tile_lines) * kWinogradOutputs;
  const Index pixel = (index - line_of_tiles * tiles_of_line) * kWinogradOutputs;
  const auto offset = [&](const GemmPitch& pitch) {
    return image * pitch.image + line * pitch.line + pixel * pitch.row;
  };
  return {.x = rows.a + offset(rows.a_pitch),
          .out = rows.out + offset(rows.out_pitch),
          .addend = rows.addend == nullptr ? nullptr : rows.addend + offset(rows.addend_pitch),
          .lines = std::min(kWinogradOutputs, rows.lines - line),
          .pixels = std::min(kWinogradOutputs, rows.width - pixel)};
}

void look_up(const PackedWinograd& packed, const WinogradRun& run,
             std::span<const WinogradTile> tiles) {
  const Index stride = run.rows.out_pitch.row;
  for (const WinogradTile& tile : tiles) {
    for (Index line = 0; line < tile.lines; ++line) {
      std::uint8_t* out = tile.out + line * run.rows.out_pitch.line;
      run.end.lookup->kernel({.rows = tile.pixels,
                              .count = packed.columns,
                              .x = out,
                              .x_stride = stride,
                              .out = out,
                              .out_stride = stride},
                             run.end.lookup->table);
    }
  }
}

}  // namespace

Index winograd_tile_count(Index images, Index lines, Index width) {
  return images * ceil_div(lines, kWinogradOutputs) * ceil_div(width, kWinogradOutputs);
}

Index winograd_scratch_bytes(const PackedWinograd& packed) {
  return strip_tiles(packed) * tile_bytes(packed);
}

void run_packed_winograd(const PackedWinograd& packed, const PackedGemm& columns,
                         const WinogradRun& run) noexcept {
  const Index most = strip_tiles(packed);
  const Index all = run.tiles.end - run.tiles.begin;
  const auto strips = static_cast<int>(ceil_div(all, most));
  const Index values = most * kWinogradPositions * packed.channels;
  Strip tiles;
  for (int strip = 0; strip < strips; ++strip) {
    const Range part = partition(all, 1, strip, strips);
    const Index count = part.end - part.begin;
    for (Index i = 0; i < count; ++i) {
      tiles[static_cast<std::size_t>(i)] = tile_at(run.rows, run.tiles.begin + part.begin + i);
    }
    packed.variant->kernel({.tiles = tiles.data(),
                            .tile_count = count,
                            .channels = packed.channels,
                            .line_pitch = run.rows.a_pitch.line,
                            .pixel_pitch = run.rows.a_pitch.row,
                            .weights = packed.weights.as<std::int16_t>(),
                            .outputs = outputs_of(columns, run.rows, run.end, {0, packed.columns}),
                            .out_line_pitch = run.rows.out_pitch.line,
                            .addend_line_pitch = run.rows.addend_pitch.line,
                            .values = reinterpret_cast<std::int16_t*>(run.scratch),
                            .sums = reinterpret_cast<std::int32_t*>(run.scratch + 2 * values)});
    if (run.end.lookup != nullptr) {
      look_up(packed, run, std::span(tiles).first(static_cast<std::size_t>(count)));
    }
  }
}

}  // namespace smidgen::kernels
