#pragma once

#include <span>

#include "base/isa.h"
#include "kernels/quantize/quantize.h"
#include "ops/matrix_product.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// float32 [..., I], each row of which is quantized by its own range, times weight [O, I]:
/// float32 [..., O].
class DynamicLinear final : public Operator {
 public:
  struct Layer {
    std::span<const std::int8_t> weight;  // [O][I]
    std::span<const float> weight_scale;  // [O]
    std::span<const float> bias;          // [O]
  };

  DynamicLinear(Index in_features, Index out_features, const Layer& layer, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  int candidate_count(std::span<const Shape> inputs, int parts) const override;
  std::string signature() const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  void quantize(std::span<const float> row, const kernels::RowQuantization& quantization,
                std::uint8_t* out) const noexcept;

  MatrixProduct product_;
  kernels::QuantizeKernel quantize_;
};

/// Scale and zero point of a row as ONNX's DynamicQuantizeLinear chooses them: of the range of its
/// values and 0. NaN takes no part.
kernels::RowQuantization quantization_of(std::span<const float> row);

}  // namespace smidgen::ops
