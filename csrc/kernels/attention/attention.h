#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Attention of one head. For each row i of queries and token j:
//
//   a[i][j] = sum over d of (q[i][d] - zero_point_q) * (k[j][d] - 128)       in int32
//   t[i][j] = float(a[i][j]) * score_multiplier + mask[i][j]
//   x[i][j] = max(t[i][j] - max over j of t[i][j], kExpLowest)                kExpLowest for NaN
//   p[i][j] = round_half_even(exp(x[i][j]) * 255)                             see kernels/math
//   total[i] = sum over j of p[i][j]
//   acc[i][d] = sum over j of p[i][j] * (v[j][d] - zero_point_v)              in int32
//   out[i][d] = round_and_clamp(float(acc[i][d]) * (value_multiplier / float(total[i])))
//
// The zero point of the keys would add the same number to all scores of a row, which a softmax does
// not see. A score that is NaN has no weight.

namespace smidgen::kernels {

/// Rows of queries that one call takes at most.
inline constexpr std::ptrdiff_t kAttentionRows = 8;

/// Tokens or columns that lie side by side in packed keys and values.
inline constexpr std::ptrdiff_t kAttentionPanel = 16;

/// Some rows of one head. Keys and values are packed: see pack.h.
///
/// The kernel reads 4 * depth_groups bytes of each row of queries and `keys` numbers of each row of
/// the mask. It writes `rows` rows of `values` bytes, and the scratch memory.
struct AttentionRows {
  std::ptrdiff_t rows;          // 1 to kAttentionRows
  std::ptrdiff_t keys;          // tokens
  std::ptrdiff_t depth_groups;  // groups of four along the queries' and keys' features
  std::ptrdiff_t values;        // features of the values
  const std::uint8_t* queries;
  std::ptrdiff_t query_stride;       // bytes between rows
  const std::int8_t* packed_keys;    // panels of [depth_groups][16][4]
  const std::int32_t* key_terms;     // [tokens rounded up to 16]
  const std::int8_t* packed_values;  // panels of [tokens / 4 rounded up][16][4]
  std::int32_t value_term;           // 128 - zero_point_v
  float score_multiplier;
  float value_multiplier;
  const float* mask;           // row 0; null for none
  std::ptrdiff_t mask_stride;  // numbers between rows, 0 if all rows share one
  float* scores;               // scratch [kAttentionRows][tokens rounded up to 16], aligned to 64
  std::uint8_t* weights;       // scratch of the same extents, aligned to 64
  std::uint8_t* out;
  std::ptrdiff_t out_stride;  // bytes between rows
  OutputRange range;

  std::ptrdiff_t pitch() const {
    return (keys + kAttentionPanel - 1) / kAttentionPanel * kAttentionPanel;
  }
};

using AttentionKernel = void (*)(const AttentionRows& rows) noexcept;

void qu8_attention_portable(const AttentionRows& rows) noexcept;
void qu8_attention_avx2(const AttentionRows& rows) noexcept;
void qu8_attention_avxvnni(const AttentionRows& rows) noexcept;
void qu8_attention_avx512vnni(const AttentionRows& rows) noexcept;

}  // namespace smidgen::kernels
