#include "ops/multiply.h"

#include "base/error.h"
#include "base/partition.h"
#include "kernels/multiply/registry.h"
#include "kernels/select.h"
#include "ops/pixel_runs.h"

namespace smidgen::ops {
namespace {

bool scales_channels(const Shape& factor, const Shape& image) {
  return factor.rank() == 4 && image.rank() == 4 && factor[0] == image[0] &&
         factor[1] == image[1] && factor[2] == 1 && factor[3] == 1;
}

}  // namespace

Multiply::Multiply(const Quantization& lhs, const Quantization& rhs, const Quantization& output,
                   const Clamp& clamp, Isa isa)
    : scales_{lhs.zero_point, rhs.zero_point, lhs.scale * rhs.scale / output.scale,
              output_range(output, clamp)},
      kernel_(kernels::best_variant(kernels::multiply_variants(), isa).kernel) {}

Shape Multiply::output_shape(std::span<const Shape> inputs) const {
  if (inputs[0] == inputs[1] || scales_channels(inputs[1], inputs[0])) return inputs[0];
  if (scales_channels(inputs[0], inputs[1])) return inputs[1];
  throw TensorError("the inputs have shapes " + inputs[0].to_string() + " and " +
                    inputs[1].to_string() + ", expected equal ones, or one of them [N, C, 1, 1]");
}

Index Multiply::work(std::span<const Shape> inputs) const {
  return 4 * output_shape(inputs).element_count();
}

void Multiply::run(const Invocation& invocation) const noexcept {
  const TensorView& lhs = invocation.inputs[0];
  const TensorView& rhs = invocation.inputs[1];
  const TensorView& out = invocation.output;
  if (lhs.shape != rhs.shape) return scale_channels(invocation);
  for_each_run({lhs, rhs, out}, invocation.part, invocation.parts, [&](const PixelRun& run) {
    const auto at = [&](const TensorView& view) { return view.u8() + run.offset_in(view); };
    kernel_({.rows = run.pixels,
             .count = run.bytes,
             .lhs = at(lhs),
             .lhs_stride = lhs.pixel_pitch,
             .rhs = at(rhs),
             .rhs_stride = rhs.pixel_pitch,
             .out = at(out),
             .out_stride = out.pixel_pitch},
            scales_);
  });
}

void Multiply::scale_channels(const Invocation& invocation) const noexcept {
  const TensorView& out = invocation.output;
  const Shape& shape = out.shape;
  const Range lines = partition(shape[0] * shape[2], 1, invocation.part, invocation.parts);
  for (Index line = lines.begin; line < lines.end; ++line) {
    const Index image = line / shape[2];
    const auto first = [&](const TensorView& x) {
      return x.shape == shape ? x.pixel(image, line % shape[2], 0) : x.pixel(image, 0, 0);
    };
    const auto stride = [&](const TensorView& x) { return x.shape == shape ? x.pixel_pitch : 0; };
    const TensorView& lhs = invocation.inputs[0];
    const TensorView& rhs = invocation.inputs[1];
    kernel_({.rows = shape[3],
             .count = shape[1],
             .lhs = first(lhs),
             .lhs_stride = stride(lhs),
             .rhs = first(rhs),
             .rhs_stride = stride(rhs),
             .out = first(out),
             .out_stride = out.pixel_pitch},
            scales_);
  }
}

}  // namespace smidgen::ops
