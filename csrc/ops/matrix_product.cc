#include "ops/matrix_product.h"

#include <algorithm>

#include "ops/bordered_copy.h"

namespace smidgen::ops {
namespace {

constexpr Index kWideBytes = 128 * 1024;  // widened rows stay in the second-level cache

bool is_float(kernels::GemmEnding ending) {
  return ending == kernels::GemmEnding::kFloats ||
         ending == kernels::GemmEnding::kFloatsOfScaledRows;
}

}  // namespace

Index MatrixProduct::rows_at_once(Index rows) const {
  const kernels::GemmVariant& variant = *packed_.choice.main;
  if (variant.value_bytes() == 1) return rows;
  const Index row_bytes = features() * variant.value_bytes();
  return std::min(rows, std::max(variant.mr, kWideBytes / row_bytes / variant.mr * variant.mr));
}

Index MatrixProduct::scratch_bytes(Index rows) const {
  const Index value_bytes = packed_.choice.main->value_bytes();
  return value_bytes == 1 ? 0 : rows_at_once(rows) * features() * value_bytes;
}

ProductOrder MatrixProduct::order(const ProductPart& part, Index rows) const {
  ProductOrder order = ProductOrder::at(part.candidate, part.count, outputs() > rows);
  order.limit_panels(packed_.panels, ceil_div(rows, packed_.choice.main->mr), part.count);
  return order;
}

Range MatrixProduct::rows_of(const ProductPart& part, Index rows) const {
  if (order(part, rows).splits_panels) return {0, rows};
  return partition(rows, packed_.choice.main->mr, part.index, part.count);
}

void MatrixProduct::multiply(const MatrixRows& rows, const kernels::GemmEnd& end,
                             const ProductPart& part, std::byte* scratch) const noexcept {
  const Index k = features();
  const Index out_stride = outputs() * (is_float(end.ending) ? 4 : 1);
  const ProductOrder way = order(part, rows.count);
  const Range panels = way.splits_panels ? partition(packed_.panels, 1, part.index, part.count)
                                         : Range{0, packed_.panels};
  const Range mine = rows_of(part, rows.count);
  const Index step = rows_at_once(mine.end - mine.begin);
  for (Index row = mine.begin; row < mine.end; row += step) {
    MatrixRows block = rows;
    block.count = std::min(step, mine.end - row);
    block.a += row * k;
    block.out += row * out_stride;
    if (rows.addend != nullptr) block.addend += row * outputs();
    if (rows.quantization != nullptr) block.quantization += row;
    if (packed_.choice.main->value_bytes() == 2) {
      auto* wide = reinterpret_cast<std::uint8_t*>(scratch);
      widen(block.a, block.count * k, wide);
      block.a = wide;
    }
    multiply_block(block, end, way, panels);
  }
}

void MatrixProduct::multiply_block(const MatrixRows& rows, const kernels::GemmEnd& end,
                                   const ProductOrder& order, Range panels) const noexcept {
  constexpr Index kNoOffset = 0;
  const Index row_bytes = features() * packed_.choice.main->value_bytes();
  const kernels::GemmRows pixels{.images = 1,
                                 .lines = 1,
                                 .width = rows.count,
                                 .a = rows.a,
                                 .a_pitch = {0, 0, row_bytes},
                                 .out = rows.out,
                                 .out_pitch = {0, 0, outputs() * (is_float(end.ending) ? 4 : 1)},
                                 .addend = rows.addend,
                                 .addend_pitch = {0, 0, outputs()},
                                 .quantization = rows.quantization};
  const Index tiles = kernels::tile_count(packed_, pixels);
  const Index touched = row_bytes + pixels.out_pitch.row + (rows.addend == nullptr ? 0 : outputs());
  kernels::run_packed_gemm(packed_, {.rows = pixels,
                                     .segments = 1,
                                     .segment_offsets = &kNoOffset,
                                     .strip_tiles = order.strip_tiles(tiles, rows.count * touched),
                                     .tiles = {0, tiles},
                                     .panels = panels,
                                     .end = end});
}

}  // namespace smidgen::ops
