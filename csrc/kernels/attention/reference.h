#pragma once

#include <cstdint>
#include <vector>

#include "base/shape.h"
#include "kernels/attention/attention.h"

namespace smidgen::kernels {

/// One head, unpacked.
struct AttentionHead {
  HeadView queries;
  HeadView keys;
  HeadView values;
  std::int32_t query_zero_point;
  std::int32_t value_zero_point;
  float score_multiplier;
  float value_multiplier;
  const float* mask;  // [queries][keys], rows mask_stride numbers apart; null for none
  Index mask_stride;
  OutputRange range;
};

/// The formulas of attention.h one after the other; judges every kernel of the family. Returns
/// [queries][features of the values].
std::vector<std::uint8_t> attention_reference(const AttentionHead& head);

}  // namespace smidgen::kernels
