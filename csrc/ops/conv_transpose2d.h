#pragma once

#include <array>
#include <memory>
#include <vector>

#include "ops/conv2d.h"

namespace smidgen::ops {

struct ConvTranspose2dGeometry {
  Index in_channels;
  Index out_channels;
  Index groups;
  Window window;  // of the output over the input; the padding is cut off
  std::array<Index, 2> output_padding{};
};

/// Transposed convolution, as ordinary convolutions: output rows that are a stride apart are sums
/// over the same taps, so each such set of rows and columns, a phase, is a convolution of stride 1
/// with those taps, which writes every stride-th pixel. Where nothing is added, that is the bias.
class ConvTranspose2d final : public Operator {
 public:
  /// The layer's weights are [C, O / groups, KH, KW]. Throws ProgramError if they do not fit.
  ConvTranspose2d(const ConvTranspose2dGeometry& geometry, const WeightedLayer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  Border wanted_border(int index) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  /// One axis of a phase. Output places first, first + stride, ... are sums over taps e of the
  /// input at t - e, where t counts from the first of them on.
  struct Axis {
    std::vector<Index> taps;  // of the kernel; the first has the least e
    Index dilation = 1;       // between the e of one tap and the next
    Index first = 0;          // place in the output
    Index before = 0;         // padding of the convolution before the input; negative: cropped
    Index behind = 0;
    Index count_offset = 0;  // outputs for an input of extent n: n + count_offset
  };

  struct Phase {
    Axis rows;
    Axis columns;
    std::unique_ptr<Conv2d> convolution;  // none if there are no taps

    Shape output_shape(const Shape& x, Index channels) const;  // may be empty

    /// What the convolution reads of an input; empty if it reads padding alone.
    Shape input_shape(const Shape& x) const;
  };

  Phase phase_of(Index row, Index column, const WeightedLayer& layer, Isa isa) const;
  Axis axis_of(int axis, Index residue) const;
  std::vector<std::int8_t> phase_weight(const Phase& phase, const WeightedLayer& layer) const;
  Index extent_of(Index extent, int axis) const;
  void write_bias(const TensorView& target, int part, int parts) const noexcept;

  ConvTranspose2dGeometry geometry_;
  std::vector<std::uint8_t> bias_;  // [O]: what an output is to which nothing is added
  std::vector<Phase> phases_;
};

}  // namespace smidgen::ops
