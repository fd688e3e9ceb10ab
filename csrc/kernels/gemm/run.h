#pragma once

#include <cstdint>

#include "base/partition.h"
#include "base/shape.h"
#include "kernels/gemm/pack.h"
#include "kernels/lookup/lookup.h"
#include "kernels/output_range.h"

namespace smidgen::kernels {

/// Bytes between the rows of a product where each is a pixel of an image.
struct GemmPitch {
  Index image;
  Index line;
  Index row;
};

/// The rows of a product: `images` times `lines` times `width` of them. One image of one line is a
/// plain matrix.
struct GemmRows {
  Index images;
  Index lines;
  Index width;
  const std::uint8_t* a;  // first value of the first row, not counting segment offsets
  GemmPitch a_pitch;
  std::uint8_t* out;
  GemmPitch out_pitch;
  const std::uint8_t* addend = nullptr;  // of the output's shape, for kBytesWithAddend
  GemmPitch addend_pitch{};
  const RowQuantization* quantization = nullptr;  // of each row, for kFloatsOfScaledRows

  bool are_lines_adjacent() const {
    const auto is_dense = [&](const GemmPitch& pitch) { return pitch.line == width * pitch.row; };
    return is_dense(a_pitch) && is_dense(out_pitch) && is_dense(addend_pitch);
  }

  /// The same rows as fewer, longer lines, where these follow each other without gaps.
  GemmRows joined() const;
};

/// A table of 256 entries, and the kernel that looks up in it.
struct GemmLookup {
  const std::uint8_t* table;
  LookupKernel kernel;
};

/// What becomes of the sums of a product.
struct GemmEnd {
  GemmEnding ending = GemmEnding::kBytes;
  OutputRange range{};                 // of bytes
  const GemmAddend* addend = nullptr;  // for kBytesWithAddend
  const GemmLookup* lookup = nullptr;  // applied to each strip once all its panels are computed
};

/// A product, and the order in which its tiles are computed: strip by strip of rows; in each, panel
/// by panel; in each, tile by tile.
struct GemmRun {
  GemmRows rows;                 // joined
  Index segments;                // a divisor of the packed groups along k
  const Index* segment_offsets;  // [segments] bytes from the begin of a row
  Index strip_tiles;  // tiles of a strip; all, if the rows stay in the second-level cache
  Range tiles;        // the part to do
  Range panels;       // the part to do
  GemmEnd end{};
};

/// Number of tiles, one panel wide, into which rows are cut.
Index tile_count(const PackedGemm& packed, const GemmRows& rows);

/// What kernels are told of the end of some columns, whose arrays begin at the first of them.
GemmOutputs outputs_of(const PackedGemm& packed, const GemmRows& rows, const GemmEnd& end,
                       Range columns);

void run_packed_gemm(const PackedGemm& packed, const GemmRun& run) noexcept;

}  // namespace smidgen::kernels
