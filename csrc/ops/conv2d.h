#pragma once

#include <optional>
#include <vector>

#include "base/isa.h"
#include "base/partition.h"
#include "kernels/gemm/run.h"
#include "kernels/winograd/run.h"
#include "ops/bordered_copy.h"
#include "ops/product_epilogue.h"
#include "ops/product_order.h"
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
/// The rows are read where the image lies: along k, a row of the product is one segment for each
/// row of the window (one for each tap, where taps do not follow each other in memory). Where the
/// input lacks the border that the window reaches into, or where the kernel takes wider values,
/// some lines at a time are copied to scratch with a border.
///
/// Windows of 3x3 with stride 1 may be computed by fewer products instead, see winograd.h.
class Conv2d final : public Operator {
 public:
  Conv2d(const Conv2dGeometry& geometry, const WeightedLayer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  Border wanted_border(int index) const override;
  int candidate_count(std::span<const Shape> inputs, int parts) const override;
  std::string signature() const override;
  bool can_fuse(const Epilogue& epilogue) const override {
    return ProductEpilogue::can_do(epilogue);
  }
  void run(const Invocation& invocation) const noexcept override;

 private:
  /// Pixels in memory that windows can reach, and which outputs they are for.
  struct Source {
    const std::uint8_t* first_tap;  // that of the first output of the first line
    Index image_pitch;
    Index line_pitch;
    Index pixel_pitch;
    Range images;
    Range out_lines;  // of each image
  };

  /// Which part of the rows and columns to compute, and how.
  struct Part {
    int index;
    int count;
    Range panels;
    ProductOrder order;
    bool is_winograd;
  };

  Index group_channels() const { return geometry_.in_channels / geometry_.groups; }
  Index offset_bytes() const;
  const kernels::GemmVariant& kernel() const { return *packed_.front().choice.main; }
  bool may_use_winograd(const Shape& out) const;
  Part part_of(const Invocation& invocation) const;
  Index value_bytes(const Part& part) const {
    return part.is_winograd ? 1 : kernel().value_bytes();
  }
  bool reads_in_place(const TensorView& x, const Part& part) const;
  void run_copied(const Invocation& invocation, const Part& part) const noexcept;
  Index lines_at_once(const Shape& x, Index out_height, Index value_bytes) const;
  BorderedCopy copy_for(Range images, Range out_lines, Index value_bytes) const;
  Index copied_bytes(const Shape& x, Index out_height, Index value_bytes) const;
  Index winograd_offset(const Shape& x, Index out_height) const;
  Index set_offsets(const Source& source, Index* offsets) const;
  kernels::GemmRows rows_of(const Invocation& invocation, const Source& source) const;
  void compute(const Invocation& invocation, const Source& source, const Part& part) const noexcept;
  void multiply(const Invocation& invocation, const Source& source, const Part& part,
                const kernels::GemmEnd& end) const noexcept;
  void filter(const Invocation& invocation, const Source& source, const Part& part,
              const kernels::GemmEnd& end) const noexcept;

  Conv2dGeometry geometry_;
  std::uint8_t zero_point_;
  kernels::OutputRange range_;
  std::vector<kernels::PackedGemm> packed_;  // one a group
  std::optional<kernels::PackedWinograd> winograd_;
};

}  // namespace smidgen::ops
