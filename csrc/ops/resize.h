#pragma once

#include <array>
#include <vector>

#include "base/isa.h"
#include "kernels/resize/resize.h"
#include "ops/operator.h"

namespace smidgen::ops {

enum class ResizeMode { kNearest, kNearestExact, kBilinear };

struct ResizeSettings {
  ResizeMode mode;
  std::array<Index, 2> size;   // height and width of the output
  std::array<float, 2> ratio;  // pixels of the input for each of the output
  bool align_corners;
};

/// Images of another size, with the input's scale and zero point.
class Resize final : public Operator {
 public:
  /// Throws ProgramError if the settings are not those that docs/arithmetic.md allows.
  Resize(const ResizeSettings& settings, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  bool keeps_samples_apart() const override { return true; }
  bool takes_pitches() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  /// The pixels of the input around one of the output along one axis, and the second one's weight.
  struct Place {
    Index first;
    Index second;
    std::int32_t weight;
  };

  Place place(Index i, std::size_t axis, Index extent) const;

  ResizeSettings settings_;
  kernels::BilinearKernel interpolate_;
};

}  // namespace smidgen::ops
