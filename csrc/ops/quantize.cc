#include "ops/quantize.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/dtype.h"
#include "base/partition.h"
#include "kernels/layout/registry.h"
#include "kernels/quantize/registry.h"
#include "kernels/select.h"
#include "ops/layout.h"

namespace smidgen::ops {
namespace {

constexpr Index kChunk = 256;  // pixels whose layout changes at a time

Index layout_scratch(const Shape& shape) {
  return is_channels_last(shape, DType::kUInt8) ? shape[1] * kChunk : 0;
}

/// Calls visit(image, first pixel, pixel count) for each chunk that falls to this thread.
template <typename Visit>
void for_each_chunk(const Shape& shape, const Invocation& invocation, const Visit& visit) {
  const Index pixels = shape[2] * shape[3];
  const Index chunks = ceil_div(pixels, kChunk);
  const Range mine = partition(shape[0] * chunks, 1, invocation.thread, invocation.threads);
  for (Index chunk = mine.begin; chunk < mine.end; ++chunk) {
    const Index first = chunk % chunks * kChunk;
    visit(chunk / chunks, first, std::min(kChunk, pixels - first));
  }
}

Range elements_of(const Invocation& invocation) {
  return partition(invocation.output.shape.element_count(), kAlignment, invocation.thread,
                   invocation.threads);
}

}  // namespace

Quantize::Quantize(const Quantization& output, Isa isa)
    : scale_(output.scale),
      range_(output_range(output, {})),
      kernel_(kernels::best_variant(kernels::quantize_variants(), isa).kernel),
      transpose_(kernels::best_variant(kernels::transpose_variants(), isa).kernel) {}

Index Quantize::work(std::span<const Shape> inputs) const { return 4 * inputs[0].element_count(); }

Index Quantize::scratch_bytes(std::span<const Shape> inputs) const {
  return layout_scratch(inputs[0]);
}

void Quantize::run(const Invocation& invocation) const noexcept {
  const float* x = invocation.inputs[0].f32();
  std::uint8_t* out = invocation.output.u8();
  const Shape& shape = invocation.output.shape;
  if (!is_channels_last(shape, DType::kUInt8)) {
    const Range mine = elements_of(invocation);
    kernel_(mine.end - mine.begin, x + mine.begin, scale_, range_, out + mine.begin);
    return;
  }
  const Index channels = shape[1];
  const Index pixels = shape[2] * shape[3];
  auto* planes = reinterpret_cast<std::uint8_t*>(invocation.scratch);
  for_each_chunk(shape, invocation, [&](Index image, Index first, Index count) {
    for (Index c = 0; c < channels; ++c) {
      kernel_(count, x + (image * channels + c) * pixels + first, scale_, range_,
              planes + c * kChunk);
    }
    transpose_({.rows = channels,
                .columns = count,
                .x = planes,
                .x_stride = kChunk,
                .out = out + (image * pixels + first) * channels,
                .out_stride = channels});
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
  const std::uint8_t* x = invocation.inputs[0].u8();
  float* out = invocation.output.f32();
  const Shape& shape = invocation.output.shape;
  if (!is_channels_last(shape, DType::kUInt8)) {
    const Range mine = elements_of(invocation);
    kernel_(mine.end - mine.begin, x + mine.begin, input_.scale, input_.zero_point,
            out + mine.begin);
    return;
  }
  const Index channels = shape[1];
  const Index pixels = shape[2] * shape[3];
  auto* planes = reinterpret_cast<std::uint8_t*>(invocation.scratch);
  for_each_chunk(shape, invocation, [&](Index image, Index first, Index count) {
    transpose_({.rows = count,
                .columns = channels,
                .x = x + (image * pixels + first) * channels,
                .x_stride = channels,
                .out = planes,
                .out_stride = kChunk});
    for (Index c = 0; c < channels; ++c) {
      kernel_(count, planes + c * kChunk, input_.scale, input_.zero_point,
              out + (image * channels + c) * pixels + first);
    }
  });
}

}  // namespace smidgen::ops
