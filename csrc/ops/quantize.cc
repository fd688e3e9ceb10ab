#include "ops/quantize.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/dtype.h"
#include "base/partition.h"
#include "kernels/layout/registry.h"
#include "kernels/select.h"
#include "ops/layout.h"

namespace smidgen::ops {
namespace {

constexpr Index kChunk = 256;  // pixels whose layout changes at a time

bool has_pixels(const Shape& shape) { return shape.rank() == 4; }

Index layout_scratch(const Shape& shape) {
  return has_pixels(shape) ? saturating_product(shape[1], kChunk) : 0;
}

/// Pixels one pitch apart, and where the values of their first channel are in the planes.
struct Chunk {
  std::uint8_t* pixels;
  Index plane_offset;
  Index count;
};

/// Calls visit(Chunk) for each chunk of the quantized tensor of this part.
template <typename Visit>
void for_each_chunk(const TensorView& quantized, const Invocation& invocation, const Visit& visit) {
  const Shape& shape = quantized.shape;
  const bool is_unbroken = quantized.row_pitch == shape[3] * quantized.pixel_pitch;
  const Index rows = is_unbroken ? 1 : shape[2];
  const Index pixels = shape[2] * shape[3] / rows;
  const Index chunks = ceil_div(pixels, kChunk);
  const Range mine = partition(shape[0] * rows * chunks, 1, invocation.part, invocation.parts);
  for (Index index = mine.begin; index < mine.end; ++index) {
    const Index first = index % chunks * kChunk;
    const Index row = index / chunks % rows;
    const Index image = index / chunks / rows;
    visit(Chunk{quantized.pixel(image, row, first),
                image * shape[1] * shape[2] * shape[3] + row * shape[3] + first,
                std::min(kChunk, pixels - first)});
  }
}

Range elements_of(const Invocation& invocation) {
  return partition(invocation.output.shape.element_count(), kAlignment, invocation.part,
                   invocation.parts);
}

/// Tells whether the bytes are in logical order, without gaps.
bool is_in_order(const TensorView& quantized) {
  return !has_pixels(quantized.shape) ||
         (quantized.is_dense() && !is_channels_last(quantized.shape, DType::kUInt8));
}

}  // namespace

Quantize::Quantize(const Quantization& output, Isa isa)
    : scale_{output.scale, output_range(output, {})},
      variant_(kernels::best_variant(kernels::quantize_variants(), isa)),
      transpose_(kernels::best_variant(kernels::transpose_variants(), isa).kernel) {}

Index Quantize::work(std::span<const Shape> inputs) const { return 4 * inputs[0].element_count(); }

Index Quantize::scratch_bytes(std::span<const Shape> inputs) const {
  return layout_scratch(inputs[0]);
}

void Quantize::run(const Invocation& invocation) const noexcept {
  const float* x = invocation.inputs[0].f32();
  const TensorView& out = invocation.output;
  if (is_in_order(out)) {
    const Range mine = elements_of(invocation);
    variant_.kernel(mine.end - mine.begin, x + mine.begin, scale_, out.u8() + mine.begin);
    return;
  }
  const Index channels = out.shape[1];
  const Index plane = out.shape[2] * out.shape[3];
  auto* planes = reinterpret_cast<std::uint8_t*>(invocation.scratch);
  for_each_chunk(out, invocation, [&](const Chunk& chunk) {
    const float* values = x + chunk.plane_offset;
    if (channels == 3 && out.pixel_pitch == 3) {
      variant_.planes_kernel(chunk.count, values, plane, scale_, chunk.pixels);
      return;
    }
    for (Index c = 0; c < channels; ++c) {
      variant_.kernel(chunk.count, values + c * plane, scale_, planes + c * kChunk);
    }
    transpose_({.rows = channels,
                .columns = chunk.count,
                .x = planes,
                .x_stride = kChunk,
                .out = chunk.pixels,
                .out_stride = out.pixel_pitch});
  });
}

Dequantize::Dequantize(const Quantization& input, Isa isa)
    : input_(input),
      kernel_(kernels::best_variant(kernels::dequantize_variants(), isa).kernel),
      transpose_(kernels::best_variant(kernels::transpose_variants(), isa).kernel) {}

Index Dequantize::work(std::span<const Shape> inputs) const {
  return 4 * inputs[0].element_count();
}

Index Dequantize::scratch_bytes(std::span<const Shape> inputs) const {
  return layout_scratch(inputs[0]);
}

void Dequantize::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  float* out = invocation.output.f32();
  if (is_in_order(x)) {
    const Range mine = elements_of(invocation);
    kernel_(mine.end - mine.begin, x.u8() + mine.begin, input_.scale, input_.zero_point,
            out + mine.begin);
    return;
  }
  const Index channels = x.shape[1];
  const Index plane = x.shape[2] * x.shape[3];
  auto* planes = reinterpret_cast<std::uint8_t*>(invocation.scratch);
  for_each_chunk(x, invocation, [&](const Chunk& chunk) {
    transpose_({.rows = chunk.count,
                .columns = channels,
                .x = chunk.pixels,
                .x_stride = x.pixel_pitch,
                .out = planes,
                .out_stride = kChunk});
    for (Index c = 0; c < channels; ++c) {
      kernel_(chunk.count, planes + c * kChunk, input_.scale, input_.zero_point,
              out + chunk.plane_offset + c * plane);
    }
  });
}

}  // namespace smidgen::ops
