#include "kernels/attention/reference.h"

#include <limits>

#include "kernels/attention/weight.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

std::int32_t score(const AttentionHead& head, Index i, Index j) {
  std::int32_t sum = 0;
  for (Index d = 0; d < head.queries.features; ++d) {
    const int query = head.queries.data[i * head.queries.stride + d] - head.query_zero_point;
    sum += query * (head.keys.data[j * head.keys.stride + d] - 128);
  }
  return sum;
}

/// The weights of all tokens for one query.
std::vector<std::int32_t> weights_of(const AttentionHead& head, Index i) {
  std::vector<float> scores;
  float largest = -std::numeric_limits<float>::infinity();
  for (Index j = 0; j < head.keys.tokens; ++j) {
    float t = static_cast<float>(score(head, i, j)) * head.score_multiplier;
    if (head.mask != nullptr) t = t + attention_mask_term(head.mask[i * head.mask_stride + j]);
    scores.push_back(t);
    if (t > largest) largest = t;
  }
  std::vector<std::int32_t> weights;
  for (const float t : scores) weights.push_back(attention_weight(largest - t));
  return weights;
}

}  // namespace

std::vector<std::uint8_t> attention_reference(const AttentionHead& head) {
  std::vector<std::uint8_t> out;
  for (Index i = 0; i < head.queries.tokens; ++i) {
    const std::vector<std::int32_t> weights = weights_of(head, i);
    std::int32_t total = 0;
    for (const std::int32_t weight : weights) total += weight;
    const float multiplier = head.value_multiplier / static_cast<float>(total);
    for (Index d = 0; d < head.values.features; ++d) {
      std::int32_t acc = 0;
      for (Index j = 0; j < head.values.tokens; ++j) {
        const int value = head.values.data[j * head.values.stride + d] - head.value_zero_point;
        acc += weights[static_cast<std::size_t>(j)] * value;
      }
      out.push_back(round_and_clamp(static_cast<float>(acc) * multiplier, head.range));
    }
  }
  return out;
}

}  // namespace smidgen::kernels
