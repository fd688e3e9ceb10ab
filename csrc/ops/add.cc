#include "ops/add.h"

#include "base/error.h"
#include "kernels/add/registry.h"
#include "kernels/select.h"
#include "ops/pixel_runs.h"

namespace smidgen::ops {

Add::Add(const Quantization& lhs, const Quantization& rhs, const Quantization& output,
         const Clamp& clamp, Isa isa)
    : scales_{lhs.zero_point, rhs.zero_point, lhs.scale / output.scale, rhs.scale / output.scale,
              output_range(output, clamp)},
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
  const TensorView& lhs = invocation.inputs[0];
  const TensorView& rhs = invocation.inputs[1];
  const TensorView& out = invocation.output;
  for_each_run({lhs, rhs, out}, invocation.part, invocation.parts, [&](const PixelRun& run) {
    const auto at = [&](const TensorView& view) { return view.u8() + run.offset_in(view); };
    add({.rows = run.pixels,
         .count = run.bytes,
         .lhs = at(lhs),
         .lhs_stride = lhs.pixel_pitch,
         .rhs = at(rhs),
         .rhs_stride = rhs.pixel_pitch,
         .out = at(out),
         .out_stride = out.pixel_pitch});
  });
}

}  // namespace smidgen::ops
