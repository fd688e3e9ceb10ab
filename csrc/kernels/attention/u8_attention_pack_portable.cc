#include <algorithm>
#include <cstring>

#include "kernels/attention/pack.h"

namespace smidgen::kernels {
namespace {

constexpr std::uint8_t kSign = 0x80;  // u ^ 0x80 is u - 128 as int8

/// Writes the groups of four features of one token into its place of each group of a panel.
std::int32_t pack_token(const std::uint8_t* token, Index features, std::int8_t* out) {
  std::int32_t sum = 0;
  for (Index d = 0; d < features; ++d) sum += token[d] - 128;
  const Index whole = features / 4;
  for (Index group = 0; group < whole; ++group) {
    std::uint32_t four = 0;
    std::memcpy(&four, token + 4 * group, 4);
    four ^= 0x80808080U;
    std::memcpy(out + group * kAttentionPanel * 4, &four, 4);
  }
  for (Index d = 4 * whole; d < features; ++d) {
    out[whole * kAttentionPanel * 4 + d % 4] = static_cast<std::int8_t>(token[d] ^ kSign);
  }
  return sum;
}

/// Interleaves 16 features of four tokens.
void pack_four_tokens(const std::uint8_t* data, Index stride, std::int8_t* out) {
  const std::uint8_t* first = data;
  const std::uint8_t* second = first + stride;
  const std::uint8_t* third = second + stride;
  const std::uint8_t* fourth = third + stride;
  for (Index c = 0; c < kAttentionPanel; ++c) {
    out[4 * c] = static_cast<std::int8_t>(first[c] ^ kSign);
    out[4 * c + 1] = static_cast<std::int8_t>(second[c] ^ kSign);
    out[4 * c + 2] = static_cast<std::int8_t>(third[c] ^ kSign);
    out[4 * c + 3] = static_cast<std::int8_t>(fourth[c] ^ kSign);
  }
}

/// The same where there are fewer of either.
void pack_few_tokens(const std::uint8_t* data, Index stride, Index tokens, Index features,
                     std::int8_t* out) {
  std::fill(out, out + kAttentionPanel * 4, std::int8_t{0});
  for (Index t = 0; t < tokens; ++t) {
    for (Index c = 0; c < features; ++c) {
      out[4 * c + t] = static_cast<std::int8_t>(data[t * stride + c] ^ kSign);
    }
  }
}

}  // namespace

void u8_attention_keys_portable(const HeadView& keys, std::int32_t query_zero_point,
                                std::int8_t* packed, std::int32_t* terms) noexcept {
  const Index panel_bytes = kAttentionPanel * round_up(keys.features, 4);
  const Index padded = round_up(keys.tokens, kAttentionPanel);
  std::fill(terms + keys.tokens, terms + padded, 0);
  if (padded != keys.tokens || keys.features % 4 != 0) {
    std::fill(packed, packed + packed_keys_bytes(keys.tokens, keys.features), std::int8_t{0});
  }
  for (Index j = 0; j < keys.tokens; ++j) {
    std::int8_t* out = packed + j / kAttentionPanel * panel_bytes + j % kAttentionPanel * 4;
    const std::int32_t sum = pack_token(keys.data + j * keys.stride, keys.features, out);
    terms[j] = -query_zero_point * sum;
  }
}

void u8_attention_values_portable(const HeadView& values, std::int8_t* packed) noexcept {
  for (Index column = 0; column < values.features; column += kAttentionPanel) {
    const Index features = std::min(kAttentionPanel, values.features - column);
    for (Index token = 0; token < values.tokens; token += 4) {
      const std::uint8_t* data = values.data + token * values.stride + column;
      const Index tokens = std::min(Index{4}, values.tokens - token);
      if (tokens == 4 && features == kAttentionPanel) {
        pack_four_tokens(data, values.stride, packed);
      } else {
        pack_few_tokens(data, values.stride, tokens, features, packed);
      }
      packed += kAttentionPanel * 4;
    }
  }
}

}  // namespace smidgen::kernels
