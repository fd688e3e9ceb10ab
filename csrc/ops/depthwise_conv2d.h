#pragma once

#include "base/isa.h"
#include "base/partition.h"
#include "kernels/depthwise/pack.h"
#include "ops/requantization.h"
#include "ops/window.h"

namespace smidgen::ops {

/// Convolution with one filter a channel (groups == C == O).
///
/// Where the window leaves the image, the rows of a block are first copied to scratch with a border
/// of the zero point, so that the kernel sees no edges.
class DepthwiseConv2d final : public Operator {
 public:
  DepthwiseConv2d(Index channels, const Window& window, const WeightedLayer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  struct Source {
    const std::uint8_t* first_row;  // first tap row of the first output row
    Index row_bytes;
  };

  Index offsets_bytes() const;
  Index padded_row_bytes(const Shape& x) const;
  Index rows_for(Index out_rows) const;
  Index block_rows(const Shape& x) const;
  Source lay_out(const TensorView& x, Index image, Range out_rows,
                 std::byte* scratch) const noexcept;
  void run_rows(const Invocation& invocation, Index image, Range out_rows) const noexcept;

  Window window_;
  std::uint8_t zero_point_;
  kernels::OutputRange range_;
  kernels::PackedDepthwise packed_;
};

}  // namespace smidgen::ops
