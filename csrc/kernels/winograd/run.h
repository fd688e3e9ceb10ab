#pragma once

#include <cstddef>

#include "base/partition.h"
#include "base/shape.h"
#include "kernels/gemm/run.h"
#include "kernels/winograd/pack.h"

namespace smidgen::kernels {

/// A convolution by tiles of 4x4 outputs, each computed with all columns.
struct WinogradRun {
  GemmRows rows;  // a row is an output pixel, `a` its first tap; not joined
  Range tiles;    // the part to do
  GemmEnd end;
  std::byte* scratch;  // winograd_scratch_bytes(), aligned
};

/// Number of tiles that cover all outputs.
Index winograd_tile_count(Index images, Index lines, Index width);

Index winograd_scratch_bytes(const PackedWinograd& packed);

/// `columns` is the same convolution, packed as a matrix product; arrays of what ends its sums are
/// read up to the end of the last panel, which may lie in their slack.
void run_packed_winograd(const PackedWinograd& packed, const PackedGemm& columns,
                         const WinogradRun& run) noexcept;

}  // namespace smidgen::kernels
