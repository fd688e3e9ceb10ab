#include <limits>

#include "kernels/attention/attention.h"
#include "kernels/attention/weight.h"
#include "kernels/round_and_clamp.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kPanel = kAttentionPanel;

/// Products of one row with the columns of one panel, modulo 2^32 as in vector registers.
void multiply_panel(const std::uint8_t* row, const std::int8_t* panel, std::ptrdiff_t groups,
                    std::uint32_t* sums) {
  for (std::ptrdiff_t j = 0; j < kPanel; ++j) sums[j] = 0;
  for (std::ptrdiff_t g = 0; g < groups; ++g, row += 4, panel += kPanel * 4) {
    for (std::ptrdiff_t j = 0; j < kPanel; ++j) {
      const std::int8_t* four = panel + 4 * j;
      const int dot = row[0] * four[0] + row[1] * four[1] + row[2] * four[2] + row[3] * four[3];
      sums[j] += static_cast<std::uint32_t>(dot);
    }
  }
}

/// Writes the scores of one row, floats in the memory of the integers.
void score_row(const AttentionRows& t, std::ptrdiff_t i, float* scores) {
  const std::uint8_t* query = t.queries + i * t.query_stride;
  for (std::ptrdiff_t first = 0; first < t.keys; first += kPanel) {
    std::uint32_t sums[kPanel];
    multiply_panel(query, t.packed_keys + first * t.depth_groups * 4, t.depth_groups, sums);
    for (std::ptrdiff_t j = 0; j < kPanel && first + j < t.keys; ++j) {
      const std::uint32_t sum = sums[j] + static_cast<std::uint32_t>(t.key_terms[first + j]);
      float score = static_cast<float>(static_cast<std::int32_t>(sum)) * t.score_multiplier;
      if (t.mask != nullptr) {
        score = score + attention_mask_term(t.mask[i * t.mask_stride + first + j]);
      }
      scores[first + j] = score;
    }
  }
}

/// Writes the weights of one row and returns their sum.
std::int32_t weigh_row(const AttentionRows& t, const float* scores, std::uint8_t* weights) {
  float largest = -std::numeric_limits<float>::infinity();
  for (std::ptrdiff_t j = 0; j < t.keys; ++j) {
    largest = scores[j] > largest ? scores[j] : largest;
  }
  std::int32_t total = 0;
  for (std::ptrdiff_t j = 0; j < t.keys; ++j) {
    const std::int32_t weight = attention_weight(largest - scores[j]);
    weights[j] = static_cast<std::uint8_t>(weight);
    total += weight;
  }
  for (std::ptrdiff_t j = t.keys; j < t.pitch(); ++j) weights[j] = 0;
  return total;
}

void average_row(const AttentionRows& t, const std::uint8_t* weights, std::int32_t total,
                 std::uint8_t* out) {
  const float multiplier = t.value_multiplier / static_cast<float>(total);
  const std::ptrdiff_t groups = (t.keys + 3) / 4;
  const auto term = static_cast<std::uint32_t>(t.value_term * total);
  for (std::ptrdiff_t first = 0; first < t.values; first += kPanel) {
    std::uint32_t sums[kPanel];
    multiply_panel(weights, t.packed_values + first * groups * 4, groups, sums);
    for (std::ptrdiff_t j = 0; j < kPanel && first + j < t.values; ++j) {
      const auto acc = static_cast<float>(static_cast<std::int32_t>(sums[j] + term));
      out[first + j] = round_and_clamp(acc * multiplier, t.range);
    }
  }
}

}  // namespace

void qu8_attention_portable(const AttentionRows& t) noexcept {
  for (std::ptrdiff_t i = 0; i < t.rows; ++i) {
    score_row(t, i, t.scores);
    const std::int32_t total = weigh_row(t, t.scores, t.weights);
    average_row(t, t.weights, total, t.out + i * t.out_stride);
  }
}

}  // namespace smidgen::kernels
