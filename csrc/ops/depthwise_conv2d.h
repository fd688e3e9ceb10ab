#pragma once

#include <optional>

#include "base/isa.h"
#include "base/partition.h"
#include "kernels/depthwise/pack.h"
#include "kernels/depthwise_band/pack.h"
#include "ops/requantization.h"
#include "ops/window.h"

namespace smidgen::ops {

/// Convolution with one filter a channel (groups == C == O).
///
/// Windows of 3, 5 and 7 lines go to the band kernels, others to those that take any taps. Where
/// the window leaves an image without a border, the lines of a block are first copied to scratch
/// with one, so that no kernel sees edges.
class DepthwiseConv2d final : public Operator {
 public:
  DepthwiseConv2d(Index channels, const Window& window, const WeightedLayer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  Border wanted_border(int index) const override;
  bool can_fuse(const Epilogue& epilogue) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  /// The input of some output lines.
  struct Source {
    const std::uint8_t* first_tap;  // of the first window of the first line
    Index line_stride;
    Index pixel_stride;
  };

  Index taps_bytes() const;
  Index copied_line_bytes(const Shape& x) const;
  Index lines_covered(Index out_lines) const;
  Index copied_lines_at_once(const Shape& x) const;
  bool reads_in_place(const TensorView& x) const;
  Source copy_lines(const TensorView& x, Index image, Range out_lines,
                    std::byte* scratch) const noexcept;
  void run_lines(const Invocation& invocation, Index image, Range out_lines) const noexcept;
  const kernels::PackedDepthwiseBand* band_for(const Source& source,
                                               const TensorView& output) const noexcept;
  void run_band(const kernels::PackedDepthwiseBand& packed, const Source& source,
                const TensorView& output, Index image, Range out_lines) const noexcept;
  void run_taps(const Source& source, const Invocation& invocation, Index image,
                Range out_lines) const noexcept;

  Index channels_;
  Window window_;
  std::uint8_t zero_point_;
  kernels::OutputRange range_;
  std::optional<kernels::PackedDepthwiseBand> by_line_;   // where pixels touch
  std::optional<kernels::PackedDepthwiseBand> by_pixel_;  // where they do not
  std::optional<kernels::PackedDepthwise> by_taps_;       // where there is no band
};

}  // namespace smidgen::ops
