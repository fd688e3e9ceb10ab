#include "kernels/gemm/run.h"

#include <algorithm>

#include "kernels/conversion_bound.h"

namespace smidgen::kernels {
namespace {

constexpr Index kPrefetchAhead = 1024;

/// Cuts rows into tiles of about mr rows: several pieces of a line, or two short lines.
class Tiling {
  /// A line of an image.
  struct Line {
    const GemmRows* rows;
    Index image;
    Index line;

    Line(const GemmRows& all, Index index)
        : rows(&all), image(index / all.lines), line(index % all.lines) {}

    bool is_end() const { return image == rows->images; }

    void advance() {
      if (++line < rows->lines) return;
      line = 0;
      ++image;
    }
  };

 public:
  Tiling(const GemmRows& rows, Index mr)
      : rows_(rows),
        is_paired_(2 * rows.width <= mr),
        pieces_(is_paired_ ? 1 : ceil_div(rows.width, mr)),
        piece_rows_(rows.width / pieces_),
        longer_pieces_(rows.width % pieces_) {}

  Index count() const {
    const Index lines = rows_.images * rows_.lines;
    return is_paired_ ? ceil_div(lines, 2) : lines * pieces_;
  }

  /// Walks over tiles without dividing: between tiles of short rows a division would show.
  class Cursor {
   public:
    Cursor(const Tiling& tiling, Index tile)
        : tiling_(tiling),
          line_(tiling.rows_, tiling.is_paired_ ? 2 * tile : tile / tiling.pieces_),
          piece_(tile % tiling.pieces_) {}

    /// Tiles from here on that have the same number of rows and follow each other on one line.
    Index equal_tiles() const {
      return (piece_ < tiling_.longer_pieces_ ? tiling_.longer_pieces_ : tiling_.pieces_) - piece_;
    }

    /// Moves on by at most equal_tiles().
    void advance(Index tiles) {
      piece_ += tiles;
      if (piece_ < tiling_.pieces_) return;
      piece_ = 0;
      line_.advance();
      if (tiling_.is_paired_) line_.advance();
    }

    /// Sets the rows of a tile.
    void locate(GemmTile& out) const {
      Line second = line_;
      second.advance();
      if (tiling_.is_paired_ && !second.is_end()) {
        out.m = 2 * tiling_.rows_.width;
        tiling_.set_half(0, line_, 0, out);
        return tiling_.set_half(1, second, 0, out);
      }
      // Rows are dealt evenly, since a tile of one row costs nearly as much as one of a few.
      const Index begin = piece_ * tiling_.piece_rows_ + std::min(piece_, tiling_.longer_pieces_);
      out.m = tiling_.piece_rows_ + (piece_ < tiling_.longer_pieces_ ? 1 : 0);
      tiling_.set_half(0, line_, begin, out);
      tiling_.set_half(1, line_, begin + (out.m + 1) / 2, out);
    }

   private:
    const Tiling& tiling_;
    Line line_;
    Index piece_;
  };

 private:
  void set_half(int half, const Line& line, Index row, GemmTile& out) const {
    const auto offset = [&](const GemmPitch& pitch) {
      return line.image * pitch.image + line.line * pitch.line + row * pitch.row;
    };
    out.a[half] = rows_.a + offset(rows_.a_pitch);
    out.out[half] = rows_.out + offset(rows_.out_pitch);
    if (rows_.quantization != nullptr) {
      out.row_quantization[half] =
          rows_.quantization + (line.image * rows_.lines + line.line) * rows_.width + row;
    }
    if (rows_.addend != nullptr) out.addend_rows[half] = rows_.addend + offset(rows_.addend_pitch);
  }

  const GemmRows& rows_;
  bool is_paired_;
  Index pieces_;
  Index piece_rows_;
  Index longer_pieces_;
};

/// Computes some tiles of one panel.
void run_panel(const PackedGemm& packed, const GemmRun& run, const Tiling& tiling, Index panel,
               Range tiles) {
  const Index nr = packed.choice.main->nr;
  const Index column = panel * nr;
  const Index n = std::min(nr, packed.shape.n - column);
  const GemmVariant& variant = n == nr ? *packed.choice.main : *packed.choice.tail;
  const bool is_float =
      run.ending == GemmEnding::kFloats || run.ending == GemmEnding::kFloatsOfScaledRows;
  const Index value_bytes = is_float ? 4 : 1;
  GemmTile tile{.tiles = 0,
                .m = 0,
                .n = n,
                .segments = run.segments,
                .k_groups = packed.k_groups / run.segments,
                .segment_offsets = run.segment_offsets,
                .a = {},
                .a_stride = run.rows.a_pitch.row,
                .weights = packed.weights.as<std::int8_t>() + panel * packed.panel_bytes(),
                .prefetch = kPrefetchAhead,
                .bias2 = packed.bias2.as<std::int32_t>() + column,
                .multipliers = packed.multipliers.as<float>() + column,
                .ending = run.ending,
                .out = {},
                .out_stride = run.rows.out_pitch.row,
                .range = byte_range(run.range),
                .addend = run.addend,
                .addend_rows = {},
                .addend_stride = run.rows.addend_pitch.row,
                .row_quantization = {},
                .column_sums = nullptr,
                .bias = nullptr};
  if (run.ending == GemmEnding::kFloatsOfScaledRows) {
    tile.column_sums = packed.column_sums.as<std::int32_t>() + column;
    tile.bias = packed.float_bias.as<float>() + column;
  }
  Tiling::Cursor cursor(tiling, tiles.begin);
  for (Index at = tiles.begin; at < tiles.end; at += tile.tiles) {
    cursor.locate(tile);
    tile.tiles = std::min(cursor.equal_tiles(), std::max(Index{1}, tiles.end - 1 - at));
    cursor.advance(tile.tiles);
    for (const int half : {0, 1}) {
      tile.out[half] += column * value_bytes;
      if (run.rows.addend != nullptr) tile.addend_rows[half] += column;
    }
    // The last tile has this panel in the cache and fetches the next.
    if (at + 1 == tiles.end) tile.prefetch = std::max(kPrefetchAhead, packed.panel_bytes());
    variant.kernel(tile);
  }
}

/// Looks up all columns of the run's panels in some tiles.
void look_up(const PackedGemm& packed, const GemmRun& run, const Tiling& tiling, Range tiles) {
  const Index nr = packed.choice.main->nr;
  const Index first = run.panels.begin * nr;
  const Index n = std::min(run.panels.end * nr, packed.shape.n) - first;
  GemmTile tile{};
  Tiling::Cursor cursor(tiling, tiles.begin);
  for (Index at = tiles.begin; at < tiles.end; ++at, cursor.advance(1)) {
    cursor.locate(tile);
    const Index half = (tile.m + 1) / 2;
    for (const int at_half : {0, 1}) {
      std::uint8_t* rows = tile.out[at_half] + first;
      const Index stride = run.rows.out_pitch.row;
      run.lookup->kernel({.rows = at_half == 0 ? half : tile.m - half,
                          .count = n,
                          .x = rows,
                          .x_stride = stride,
                          .out = rows,
                          .out_stride = stride},
                         run.lookup->table);
    }
  }
}

}  // namespace

GemmRows GemmRows::joined() const {
  GemmRows rows = *this;
  if (rows.lines > 1 && !rows.are_lines_adjacent()) return rows;
  rows.width *= rows.lines;
  rows.lines = rows.images;
  rows.images = 1;
  rows.a_pitch.line = rows.a_pitch.image;
  rows.out_pitch.line = rows.out_pitch.image;
  rows.addend_pitch.line = rows.addend_pitch.image;
  if (rows.lines > 1 && !rows.are_lines_adjacent()) return rows;
  rows.width *= rows.lines;
  rows.lines = 1;
  return rows;
}

Index tile_count(const PackedGemm& packed, const GemmRows& rows) {
  return Tiling(rows, packed.choice.main->mr).count();
}

void run_packed_gemm(const PackedGemm& packed, const GemmRun& run) noexcept {
  const Tiling tiling(run.rows, packed.choice.main->mr);
  for (Index begin = run.tiles.begin; begin < run.tiles.end; begin += run.strip_tiles) {
    const Range strip{begin, std::min(begin + run.strip_tiles, run.tiles.end)};
    for (Index panel = run.panels.begin; panel < run.panels.end; ++panel) {
      run_panel(packed, run, tiling, panel, strip);
    }
    if (run.lookup != nullptr) look_up(packed, run, tiling, strip);
  }
}

}  // namespace smidgen::kernels
