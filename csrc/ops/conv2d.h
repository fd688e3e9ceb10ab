#pragma once

#include <vector>

#include "base/isa.h"
#include "base/partition.h"
#include "kernels/gemm/pack.h"
#include "ops/requantization.h"
#include "ops/window.h"

namespace smidgen::ops {

struct Conv2dGeometry {
  Index in_channels;
  Index out_channels;
  Index groups;
  Window window;
};

/// Convolution as a matrix product: one row for each output pixel, one column for each output
/// channel of a group.
///
/// Rows of k = KH * KW * (C / groups) bytes are gathered into a panel in scratch, with the zero
/// point where the window leaves the image. A 1x1 convolution without stride or padding reads its
/// input in place.
class Conv2d final : public Operator {
 public:
  Conv2d(const Conv2dGeometry& geometry, const WeightedLayer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  Index group_channels() const { return geometry_.in_channels / geometry_.groups; }
  Index row_bytes() const { return packed_.front().k4 * 4; }
  Index block_rows() const;
  bool reads_in_place() const;
  void run_block(const Invocation& invocation, Index group, Range rows,
                 Range panels) const noexcept;
  void gather_rows(const TensorView& x, const Shape& out, Index group, Range rows,
                   std::uint8_t* panel) const noexcept;
  void gather_window(const std::uint8_t* image, const Shape& x, Index top, Index left,
                     std::uint8_t* panel_row) const noexcept;

  Conv2dGeometry geometry_;
  std::uint8_t zero_point_;
  kernels::OutputRange range_;
  std::vector<kernels::PackedGemm> packed_;  // one a group
};

}  // namespace smidgen::ops
