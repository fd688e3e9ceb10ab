#include "ops/add.h"

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/partition.h"
#include "kernels/add/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {

Add::Add(const Quantization& lhs, const Quantization& rhs, const Quantization& output,
         const Clamp& clamp, Isa isa)
    : lhs_{lhs.scale / output.scale, lhs.zero_point},
      rhs_{rhs.scale / output.scale, rhs.zero_point},
      range_(output_range(output, clamp)),
      kernel_(kernels::best_variant(kernels::add_variants(), isa).kernel) {}

Shape Add::output_shape(std::span<const Shape> inputs) const {
  if (inputs[0] != inputs[1]) {
    throw TensorError("the inputs have shapes " + inputs[0].to_string() + " and " +
                      inputs[1].to_string() + ", expected equal ones");
  }
  return inputs[0];
}

Index Add::work(std::span<const Shape> inputs) const { return 4 * inputs[0].element_count(); }

void Add::run(const Invocation& invocation) const noexcept {
  const Range mine = partition(invocation.output.shape.element_count(), kAlignment,
                               invocation.thread, invocation.threads);
  kernel_({.count = mine.end - mine.begin,
           .lhs = invocation.inputs[0].u8() + mine.begin,
           .rhs = invocation.inputs[1].u8() + mine.begin,
           .lhs_zero_point = lhs_.zero_point,
           .rhs_zero_point = rhs_.zero_point,
           .lhs_multiplier = lhs_.scale,
           .rhs_multiplier = rhs_.scale,
           .out = invocation.output.u8() + mine.begin,
           .range = range_});
}

}  // namespace smidgen::ops
