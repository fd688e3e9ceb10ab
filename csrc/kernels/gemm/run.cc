#include "kernels/gemm/run.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>

#include "kernels/conversion_bound.h"
#include "kernels/raised_sums.h"

namespace smidgen::kernels {
namespace {

constexpr Index kTilesAtOnce = 64;

/// Tiles of equal height.
struct EqualTiles {
  Index m;
  GemmGaps gaps;
  std::span<const GemmTile> tiles;
};

/// Pieces of equal height, unless they would be many more than needed.
Index piece_count(Index width, Index mr) {
  const Index needed = ceil_div(width, mr);
  for (Index pieces = needed; pieces <= needed + needed / 8; ++pieces) {
    if (width % pieces == 0) return pieces;
  }
  return needed;
}

/// Cuts rows into tiles of at most mr rows: several pieces of a line, or two short lines.
struct Tiling {
  GemmRows rows;
  GemmGaps gaps{};
  bool is_paired;
  Index pieces;  // of a line
  Index piece_rows;
  Index longer_pieces;  // those with a row more

  Tiling(const GemmRows& all, Index mr)
      : rows(all),
        is_paired(2 * all.width <= mr),
        pieces(is_paired ? 1 : piece_count(all.width, mr)),
        piece_rows(all.width / pieces),
        longer_pieces(all.width % pieces) {}

  Index lines() const { return rows.images * rows.lines; }
  Index count() const { return is_paired ? ceil_div(lines(), 2) : lines() * pieces; }

  /// The two heights that tiles have.
  Index longer() const { return is_paired ? 2 * rows.width : piece_rows + 1; }
  Index shorter() const { return is_paired ? rows.width : piece_rows; }
};

/// Takes each image for one line, if what lies between its lines is a whole number of rows.
std::optional<Tiling> tile_over_gaps(const GemmRows& rows, Index mr) {
  constexpr Index kShortest = 4;  // lines of a tile must be few
  if (rows.lines == 1 || rows.a_pitch.line % rows.a_pitch.row != 0) return std::nullopt;
  const Index pitch = rows.a_pitch.line / rows.a_pitch.row;
  if (pitch < kShortest || pitch < rows.width) return std::nullopt;
  GemmRows images = rows;
  images.lines = 1;
  images.width = (rows.lines - 1) * pitch + rows.width;
  images.a_pitch.line = rows.a_pitch.image;
  images.out_pitch.line = rows.out_pitch.image;
  images.addend_pitch.line = rows.addend_pitch.image;
  Tiling tiling(images, mr);
  if (tiling.is_paired) return std::nullopt;
  tiling.gaps = {pitch, rows.width, rows.out_pitch.line, rows.addend_pitch.line};
  return tiling;
}

/// The tiling with the fewer tiles.
Tiling tile(const PackedGemm& packed, const GemmRows& rows) {
  const GemmVariant& variant = *packed.choice.main;
  const Tiling by_line(rows, variant.mr);
  if (!variant.skips_gaps) return by_line;
  const std::optional<Tiling> over_gaps = tile_over_gaps(rows, variant.mr);
  return over_gaps && over_gaps->count() < by_line.count() ? *over_gaps : by_line;
}

/// A line of an image. Moves on without dividing, which would show between tiles of short rows.
class Line {
 public:
  Line(const GemmRows& rows, Index index)
      : rows_(&rows), index_(index), in_image_(index % rows.lines) {
    begin(index / rows.lines);
  }

  bool is_end() const { return index_ == rows_->images * rows_->lines; }

  void advance() {
    ++index_;
    if (++in_image_ == rows_->lines) {
      in_image_ = 0;
      begin(index_ / rows_->lines);
    } else {
      begin_.a += rows_->a_pitch.line;
      begin_.out += rows_->out_pitch.line;
      begin_.addend += rows_->addend_pitch.line;
    }
  }

  /// Lets a half of a tile begin at a row.
  void set_half(GemmTile& tile, int half, Index row) const {
    tile.a[half] = rows_->a + begin_.a + row * rows_->a_pitch.row;
    tile.out[half] = rows_->out + begin_.out + row * rows_->out_pitch.row;
    if (rows_->addend != nullptr) {
      tile.addend[half] = rows_->addend + begin_.addend + row * rows_->addend_pitch.row;
    }
    if (rows_->quantization != nullptr) {
      tile.row_quantization[half] = rows_->quantization + index_ * rows_->width + row;
    }
  }

 private:
  struct Offsets {
    Index a;
    Index out;
    Index addend;
  };

  void begin(Index image) {
    begin_ = {image * rows_->a_pitch.image + in_image_ * rows_->a_pitch.line,
              image * rows_->out_pitch.image + in_image_ * rows_->out_pitch.line,
              image * rows_->addend_pitch.image + in_image_ * rows_->addend_pitch.line};
  }

  const GemmRows* rows_;
  Index index_;     // of all images
  Index in_image_;  // of its own
  Offsets begin_{};
};

/// A strip's tiles, found once for all panels.
class Strip {
 public:
  Strip(const Tiling& tiling, Range tiles) : tiling_(tiling) {
    if (tiling.is_paired) {
      find_pairs(tiles);
    } else {
      find_pieces(tiles);
    }
  }

  std::array<EqualTiles, 2> groups() const {
    const std::span all(tiles_);
    return {{{tiling_.longer(), tiling_.gaps, all.first(longer_)},
             {tiling_.shorter(), tiling_.gaps, all.last(shorter_)}}};
  }

 private:
  /// Room for the next tile: the longer ones from the front, the others from the back.
  GemmTile& next(bool is_longer) {
    return is_longer ? tiles_[longer_++] : tiles_[tiles_.size() - ++shorter_];
  }

  void find_pairs(Range tiles) {
    Line line(tiling_.rows, 2 * tiles.begin);
    for (Index index = tiles.begin; index < tiles.end; ++index) {
      Line second = line;
      second.advance();
      GemmTile& tile = next(!second.is_end());
      line.set_half(tile, 0, 0);
      if (second.is_end()) {
        line.set_half(tile, 1, (tiling_.rows.width + 1) / 2);
        return;
      }
      second.set_half(tile, 1, 0);
      line = second;
      line.advance();
    }
  }

  /// Lets a tile begin at a row of an image whose lines have gaps between them.
  void set_over_gaps(const Line& image, Index row, Index m, GemmTile& tile) const {
    const GemmGaps& gaps = tiling_.gaps;
    image.set_half(tile, 0, row);
    tile.a[1] = tile.a[0] + (m + 1) / 2 * tiling_.rows.a_pitch.row;
    const Index line = row / gaps.pitch;
    tile.x = row - line * gaps.pitch;
    tile.out[0] += line * (gaps.out_line_stride - gaps.pitch * tiling_.rows.out_pitch.row);
    if (tiling_.rows.addend == nullptr) return;
    tile.addend[0] += line * (gaps.addend_line_stride - gaps.pitch * tiling_.rows.addend_pitch.row);
  }

  void find_pieces(Range tiles) {
    Line line(tiling_.rows, tiles.begin / tiling_.pieces);
    Index piece = tiles.begin % tiling_.pieces;
    // Rows are dealt evenly, since a tile of one row costs nearly as much as one of a few.
    Index row = piece * tiling_.piece_rows + std::min(piece, tiling_.longer_pieces);
    for (Index index = tiles.begin; index < tiles.end; ++index) {
      const bool is_longer = piece < tiling_.longer_pieces;
      const Index m = is_longer ? tiling_.longer() : tiling_.shorter();
      GemmTile& tile = next(is_longer);
      if (tiling_.gaps.pitch > 0) {
        set_over_gaps(line, row, m, tile);
      } else {
        line.set_half(tile, 0, row);
        line.set_half(tile, 1, row + (m + 1) / 2);
      }
      row += m;
      if (++piece < tiling_.pieces) continue;
      piece = 0;
      row = 0;
      line.advance();
    }
  }

  const Tiling& tiling_;
  std::size_t longer_ = 0;
  std::size_t shorter_ = 0;
  std::array<GemmTile, std::size_t{kTilesAtOnce}> tiles_;
};

/// Computes some panels of tiles with one kernel.
void run_panels(const PackedGemm& packed, const GemmRun& run, const EqualTiles& tiles, Range panels,
                const GemmVariant& variant) {
  const Index nr = packed.choice.main->nr;
  const Range columns{panels.begin * nr, std::min(panels.end * nr, packed.shape.n)};
  variant.kernel({.m = tiles.m,
                  .gaps = tiles.gaps,
                  .tiles = tiles.tiles.data(),
                  .tile_count = static_cast<Index>(tiles.tiles.size()),
                  .segments = run.segments,
                  .k_groups = packed.k_groups / run.segments,
                  .segment_offsets = run.segment_offsets,
                  .a_stride = run.rows.a_pitch.row,
                  .weights = packed.weights.as<std::int8_t>() + panels.begin * packed.panel_bytes(),
                  .outputs = outputs_of(packed, run.rows, run.end, columns)});
}

/// Computes the run's panels of tiles.
void run_tiles(const PackedGemm& packed, const GemmRun& run, const EqualTiles& tiles) {
  const GemmChoice& choice = packed.choice;
  const bool has_tail = run.panels.end == packed.panels && packed.shape.n % choice.main->nr != 0;
  const Range full{run.panels.begin, run.panels.end - (has_tail ? 1 : 0)};
  if (full.begin < full.end) run_panels(packed, run, tiles, full, *choice.main);
  if (has_tail && run.panels.begin < run.panels.end) {
    run_panels(packed, run, tiles, {full.end, run.panels.end}, *choice.tail);
  }
}

/// Calls visit(out, rows) for each run of rows of a tile that are written one after the other.
template <typename Visit>
void visit_runs(const EqualTiles& tiles, const GemmTile& tile, Index out_stride,
                const Visit& visit) {
  if (tiles.gaps.pitch == 0) {
    const Index half = (tiles.m + 1) / 2;
    visit(tile.out[0], half);
    visit(tile.out[1], tiles.m - half);
    return;
  }
  std::uint8_t* out = tile.out[0];
  for (Index row = 0, x = tile.x; row < tiles.m;) {
    const Index left = std::min(tiles.m - row, tiles.gaps.width - x);
    if (left > 0) visit(out, left);
    row += tiles.gaps.pitch - x;
    out += tiles.gaps.out_line_stride - x * out_stride;
    x = 0;
  }
}

/// Looks up all columns of the run's panels in some tiles.
void look_up(const PackedGemm& packed, const GemmRun& run, const EqualTiles& tiles) {
  const Index nr = packed.choice.main->nr;
  const Index first = run.panels.begin * nr;
  const Index n = std::min(run.panels.end * nr, packed.shape.n) - first;
  const Index stride = run.rows.out_pitch.row;
  for (const GemmTile& tile : tiles.tiles) {
    visit_runs(tiles, tile, stride, [&](std::uint8_t* out, Index rows) {
      run.end.lookup->kernel({.rows = rows,
                              .count = n,
                              .x = out + first,
                              .x_stride = stride,
                              .out = out + first,
                              .out_stride = stride},
                             run.end.lookup->table);
    });
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
  return tile(packed, rows).count();
}

GemmOutputs outputs_of(const PackedGemm& packed, const GemmRows& rows, const GemmEnd& end,
                       Range columns) {
  const Index first = columns.begin;
  const bool is_of_scaled_rows = end.ending == GemmEnding::kFloatsOfScaledRows;
  const ByteRange range = byte_range(end.range);
  const bool is_raised = packed.can_raise() && end.ending == GemmEnding::kBytes && is_full(range);
  const AlignedBuffer& bias2 = is_raised ? packed.raised_bias2 : packed.bias2;
  return {
      .n = columns.end - first,
      .column = first,
      .bias2 = bias2.as<std::int32_t>() + first,
      .multipliers = packed.multipliers.as<float>() + first,
      .lowerings = is_raised ? packed.lowerings.as<float>() + first : nullptr,
      .ending = end.ending,
      .stride = rows.out_pitch.row,
      .range = range,
      .addend = end.addend,
      .addend_stride = rows.addend_pitch.row,
      .column_sums = is_of_scaled_rows ? packed.column_sums.as<std::int32_t>() + first : nullptr,
      .bias = is_of_scaled_rows ? packed.float_bias.as<float>() + first : nullptr};
}

void run_packed_gemm(const PackedGemm& packed, const GemmRun& run) noexcept {
  if (run.panels.begin == run.panels.end) return;
  const Tiling tiling = tile(packed, run.rows);
  const Index strip_tiles = std::min(run.strip_tiles, kTilesAtOnce);
  for (Index begin = run.tiles.begin; begin < run.tiles.end; begin += strip_tiles) {
    const Strip strip(tiling, {begin, std::min(begin + strip_tiles, run.tiles.end)});
    for (const EqualTiles& tiles : strip.groups()) {
      if (tiles.tiles.empty()) continue;
      run_tiles(packed, run, tiles);
      if (run.end.lookup != nullptr) look_up(packed, run, tiles);
    }
  }
}

}  // namespace smidgen::kernels
