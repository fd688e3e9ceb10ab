#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Attention of one head. For each row i of queries and token j:
//
//   a[i][j] = sum over d of (q[i][d] - zero_point_q) * (k[j][d] - 128)       in int32
//   t[i][j] = float(a[i][j]) * score_multiplier + max(mask[i][j] * kScoreSteps, lowest float)
//   s[i][j] = round_half_even(max over j of t[i][j] - t[i][j])     32767 for more, and for NaN
//   p[i][j] = weight of s[i][j], below
//   total[i] = sum over j of p[i][j]
//   acc[i][d] = sum over j of p[i][j] * (v[j][d] - zero_point_v)              in int32
//   out[i][d] = round_and_clamp(float(acc[i][d]) * (value_multiplier / float(total[i])))
//
// The zero point of the keys would add the same number to all scores of a row, which a softmax does
// not see. Scores count steps of 1 / 2048 of a power of two, so the weight of s is 255 * 2^(-s /
// 2048), rounded. With >> dropping bits, in integers that fit 16 bits but for products:
//
//   fraction = s * 32 mod 2^16
//   power = kPower0 - (fraction * (kPower1 - (fraction * (kPower2 - (fraction * kPower3
//           >> 16)) >> 16)) >> 16)
//   weight = (power * (256 >> (s >> 11)) + 2^14) >> 15
//
// A mask of NaN is the lowest float. A score that is NaN has no weight.

namespace smidgen::kernels {

/// 2048 / ln(2): the steps of a score of one. score_multiplier contains them.
inline constexpr float kScoreSteps = 0x1.715476p+11F;

/// 128 * 255 * 2^-x for 0 <= x < 1, off by less than 3.1, as a polynomial of x.
inline constexpr std::int32_t kPower0 = 32640;
inline constexpr std::int32_t kPower1 = 22582;
inline constexpr std::int32_t kPower2 = 7568;
inline constexpr std::int32_t kPower3 = 1308;

/// Rows of queries that kernels need scratch memory for.
inline constexpr std::ptrdiff_t kAttentionRows = 16;

/// Tokens or columns that lie side by side in packed keys and values.
inline constexpr std::ptrdiff_t kAttentionPanel = 16;

/// Tokens of which kernels compute the weights at a time, at most.
inline constexpr std::ptrdiff_t kAttentionTokens = 64;

/// Some rows of one head, with keys and values as AttentionPacking leaves them.
///
/// The kernel reads 4 * depth_groups bytes of each row of queries and `keys` numbers of each row of
/// the mask. It writes `rows` rows of `values` bytes, and the scratch memory.
struct AttentionRows {
  std::ptrdiff_t rows;          // 1 or more
  std::ptrdiff_t keys;          // tokens
  std::ptrdiff_t depth_groups;  // groups of four along the queries' and keys' features
  std::ptrdiff_t values;        // features of the values
  const std::uint8_t* queries;
  std::ptrdiff_t query_stride;  // bytes between rows
  const std::int8_t* packed_keys;
  const std::int32_t* key_terms;
  const std::int8_t* packed_values;
  std::int32_t value_term;  // 128 - zero_point_v
  float score_multiplier;
  float value_multiplier;
  const float* mask;           // row 0; null for none
  std::ptrdiff_t mask_stride;  // numbers between rows, 0 if all rows share one
  float* scores;               // scratch [kAttentionRows][pitch()], aligned to 64
  std::uint8_t* weights;       // scratch of the same extents, aligned to 64
  std::uint8_t* out;
  std::ptrdiff_t out_stride;  // bytes between rows
  OutputRange range;

  std::ptrdiff_t pitch() const {
    return (keys + kAttentionTokens - 1) / kAttentionTokens * kAttentionTokens;
  }
};

using AttentionKernel = void (*)(const AttentionRows& rows) noexcept;

void qu8_attention_portable(const AttentionRows& rows) noexcept;
void qu8_attention_avx2(const AttentionRows& rows) noexcept;
void qu8_attention_avxvnni(const AttentionRows& rows) noexcept;
void qu8_attention_avx512vnni(const AttentionRows& rows) noexcept;

/// The features of one head of a tensor: [tokens][features], rows `stride` bytes apart.
struct HeadView {
  const std::uint8_t* data;
  std::ptrdiff_t stride;
  std::ptrdiff_t tokens;
  std::ptrdiff_t features;
};

/// Packs keys as k - 128 into panels of 16 tokens, [ceil(features / 4)][16][4], zero where there is
/// nothing; and -query_zero_point * sum over d of (k[j][d] - 128) for each token into `terms`
/// [tokens rounded up to 16].
using PackKeysKernel = void (*)(const HeadView& keys, std::int32_t query_zero_point,
                                std::int8_t* packed, std::int32_t* terms) noexcept;

void u8_attention_keys_portable(const HeadView& keys, std::int32_t query_zero_point,
                                std::int8_t* packed, std::int32_t* terms) noexcept;
void u8_attention_keys_avx512vnni(const HeadView& keys, std::int32_t query_zero_point,
                                  std::int8_t* packed, std::int32_t* terms) noexcept;

/// Packs values as v - 128 into panels of 16 features, [ceil(tokens / 4)][16][4], zero where there
/// is nothing.
using PackValuesKernel = void (*)(const HeadView& values, std::int8_t* packed) noexcept;

void u8_attention_values_portable(const HeadView& values, std::int8_t* packed) noexcept;
void u8_attention_values_avx512vnni(const HeadView& values, std::int8_t* packed) noexcept;

}  // namespace smidgen::kernels
