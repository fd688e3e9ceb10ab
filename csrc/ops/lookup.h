#pragma once

#include "base/aligned_buffer.h"
#include "base/isa.h"
#include "kernels/lookup/lookup.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Any function of one uint8 value, as a table of 256.
class Lookup final : public Operator {
 public:
  Lookup(std::span<const std::uint8_t> table, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape> inputs) const override { return inputs[0].element_count(); }
  void run(const Invocation& invocation) const noexcept override;

 private:
  AlignedBuffer table_;  // [256] uint8
  kernels::LookupKernel kernel_;
};

}  // namespace smidgen::ops
