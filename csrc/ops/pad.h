#pragma once

#include <array>
#include <vector>

#include "base/dtype.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// One value put around a tensor.
class Pad final : public Operator {
 public:
  using Pads = std::vector<std::array<Index, 2>>;  // before and behind along each axis

  /// `value`: the bytes of one element in the lower bytes.
  Pad(Pads pads, std::uint64_t value, DType dtype);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  bool takes_pitches() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

 private:
  Pads pads_;
  std::uint64_t value_;
  DType dtype_;
};

}  // namespace smidgen::ops
