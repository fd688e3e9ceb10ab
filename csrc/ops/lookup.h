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
  bool takes_pitches() const override { return true; }
  bool keeps_samples_apart() const override { return true; }
  bool ignores_subnormals() const override { return true; }
  void run(const Invocation& invocation) const noexcept override;

  const std::uint8_t* table() const { return table_.as<std::uint8_t>(); }
  kernels::LookupKernel kernel() const { return kernel_; }

  /// Looks some rows of values up; for steps into which the table is fused.
  void look_up(const kernels::LookupRows& rows) const noexcept {
    kernel_(rows, table_.as<std::uint8_t>());
  }

 private:
  AlignedBuffer table_;  // [256] uint8
  kernels::LookupKernel kernel_;
};

}  // namespace smidgen::ops
