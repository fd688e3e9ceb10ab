#include "ops/dynamic_linear.h"

#include <array>
#include <cmath>

#include "base/error.h"
#include "kernels/quantize/registry.h"
#include "kernels/select.h"
#include "ops/linear.h"

namespace smidgen::ops {
namespace {

void expect_length(const char* what, std::size_t found, Index expected) {
  if (static_cast<Index>(found) == expected) return;
  throw ProgramError(std::string(what) + " has " + std::to_string(found) + " values, expected " +
                     std::to_string(expected));
}

kernels::PackedGemm pack(Index in_features, Index out_features, const DynamicLinear::Layer& layer,
                         Isa isa) {
  expect_length("weight", layer.weight.size(), in_features * out_features);
  expect_length("weight_scale", layer.weight_scale.size(), out_features);
  expect_length("bias", layer.bias.size(), out_features);
  const std::vector<std::int32_t> no_bias(layer.bias.size(), 0);
  const kernels::GemmShape shape{out_features, 1, in_features};
  return kernels::pack_gemm(kernels::choose_gemm(isa, shape, 1), shape,
                            {.weights = layer.weight,
                             .bias = no_bias,
                             .multipliers = layer.weight_scale,
                             .a_zero_point = 0,
                             .float_bias = layer.bias});
}

/// The smallest and the largest of some values and 0.
struct Extremes {
  float low = 0.0F;
  float high = 0.0F;

  void include(float value) {
    // The operand order passes over NaN.
    low = value < low ? value : low;
    high = value > high ? value : high;
  }
};

Extremes extremes_of(std::span<const float> row) {
  constexpr std::size_t kLanes = 16;
  std::array<float, kLanes> lows{};
  std::array<float, kLanes> highs{};
  std::size_t i = 0;
  for (; i + kLanes <= row.size(); i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = row[i + lane];
      lows[lane] = value < lows[lane] ? value : lows[lane];
      highs[lane] = value > highs[lane] ? value : highs[lane];
    }
  }
  Extremes extremes;
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    extremes.include(lows[lane]);
    extremes.include(highs[lane]);
  }
  for (; i < row.size(); ++i) extremes.include(row[i]);
  return extremes;
}

Index quantization_bytes(Index rows) {
  return round_up(rows * static_cast<Index>(sizeof(kernels::RowQuantization)), kAlignment);
}

}  // namespace

kernels::RowQuantization quantization_of(std::span<const float> row) {
  const Extremes extremes = extremes_of(row);
  const float range = extremes.high - extremes.low;
  const float quotient = range / 255.0F;
  const float scale = quotient == 0.0F ? 1.0F : quotient;
  const float place = -extremes.low / scale;
  const float above = place > 0.0F ? place : 0.0F;
  return {scale, static_cast<std::int32_t>(std::lrintf(above < 255.0F ? above : 255.0F))};
}

DynamicLinear::DynamicLinear(Index in_features, Index out_features, const Layer& layer, Isa isa)
    : product_(pack(in_features, out_features, layer, isa)),
      quantize_(kernels::best_variant(kernels::quantize_variants(), isa).kernel) {}

Shape DynamicLinear::output_shape(std::span<const Shape> inputs) const {
  return linear_shape(inputs[0], product_.features(), product_.outputs());
}

Index DynamicLinear::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), product_.outputs());
}

Index DynamicLinear::scratch_bytes(std::span<const Shape> inputs) const {
  const Index rows = row_count(inputs[0]);
  return quantization_bytes(rows) + round_up(rows * product_.features() + kSlack, kAlignment) +
         product_.scratch_bytes(rows);
}

int DynamicLinear::candidate_count(std::span<const Shape> inputs, int parts) const {
  (void)inputs;
  return ProductOrder::count(parts);
}

std::string DynamicLinear::signature() const {
  return "dynamic_linear " + std::to_string(product_.features()) + ' ' +
         std::to_string(product_.outputs());
}

void DynamicLinear::quantize(std::span<const float> row,
                             const kernels::RowQuantization& quantization,
                             std::uint8_t* out) const noexcept {
  const float scale = quantization.scale;
  const Quantization own{scale, quantization.zero_point};
  // Rows of any range occur here, and kernels take the scales of programs.
  const bool is_usual = scale >= 0x1p-60F && scale <= 0x1p60F;
  const kernels::QuantizeKernel kernel = is_usual ? quantize_ : kernels::f32_qu8_quantize_portable;
  kernel(static_cast<Index>(row.size()), row.data(), {scale, output_range(own, {})}, out);
}

void DynamicLinear::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Index k = product_.features();
  const Index rows = row_count(x.shape);
  const ProductPart part{invocation.part, invocation.parts, invocation.candidate};
  auto* quantization = reinterpret_cast<kernels::RowQuantization*>(invocation.scratch);
  std::byte* quantized = invocation.scratch + quantization_bytes(rows);
  auto* a = reinterpret_cast<std::uint8_t*>(quantized);
  const Range mine = product_.rows_of(part, rows);
  for (Index row = mine.begin; row < mine.end; ++row) {
    const float* values = x.f32() + row * k;
    quantization[row] = quantization_of({values, static_cast<std::size_t>(k)});
    quantize({values, static_cast<std::size_t>(k)}, quantization[row], a + row * k);
  }
  product_.multiply(
      {.count = rows, .a = a, .out = invocation.output.u8(), .quantization = quantization},
      {.ending = kernels::GemmEnding::kFloatsOfScaledRows}, part,
      quantized + round_up(rows * k + kSlack, kAlignment));
}

}  // namespace smidgen::ops
