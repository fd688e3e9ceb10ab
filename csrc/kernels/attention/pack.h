#pragma once

#include <cstdint>

#include "base/shape.h"
#include "kernels/attention/attention.h"

namespace smidgen::kernels {

/// The features of one head of a tensor: [tokens][features], rows `stride` bytes apart.
struct HeadView {
  const std::uint8_t* data;
  Index stride;
  Index tokens;
  Index features;
};

/// Bytes that the packed keys and values of a head take.
Index packed_keys_bytes(Index tokens, Index features);
Index packed_values_bytes(Index tokens, Index features);

/// Packs keys as k - 128 into panels of 16 tokens, [ceil(features / 4)][16][4], zero where there is
/// nothing; and -query_zero_point * sum over d of (k[j][d] - 128) for each token into `terms`
/// [tokens rounded up to 16].
void pack_keys(const HeadView& keys, std::int32_t query_zero_point, std::int8_t* packed,
               std::int32_t* terms) noexcept;

/// Packs values as v - 128 into panels of 16 features, [ceil(tokens / 4)][16][4], zero where there
/// is nothing.
void pack_values(const HeadView& values, std::int8_t* packed) noexcept;

}  // namespace smidgen::kernels
