#pragma once

#include "base/isa.h"
#include "kernels/attention/registry.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// What attention reads besides tensors.
struct AttentionSettings {
  Index heads;
  Index head_size;
  float scale;
  Index query_offset;  // first feature of the queries in their tensor
  Index key_offset;
  Index value_offset;
  bool has_mask;
  Quantization query;
  Quantization key;
  Quantization value;
  Quantization output;
};

/// Softmax of scaled products of queries and keys, as weights of the values; one head after the
/// other. Reads queries, keys and values [N, S, features] and perhaps a float32 mask
/// [N or 1, 1, S or 1, S].
class Attention final : public Operator {
 public:
  Attention(const AttentionSettings& settings, Isa isa);

  Shape output_shape(std::span<const Shape> inputs) const override;
  Index work(std::span<const Shape> inputs) const override;
  Index scratch_bytes(std::span<const Shape> inputs) const override;
  void run(const Invocation& invocation) const noexcept override;

 private:
  kernels::AttentionRows pack_head(const Invocation& invocation, Index image, Index head) const;

  AttentionSettings settings_;
  float score_multiplier_;
  float value_multiplier_;
  const kernels::AttentionVariant& variant_;
};

}  // namespace smidgen::ops
