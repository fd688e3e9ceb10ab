#include <immintrin.h>

#include "kernels/attention/attention.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kChunk = 32;                   // features at a time
constexpr std::ptrdiff_t kGroup = 4 * kAttentionPanel;  // bytes of a group of a panel

/// Some tokens' features of one chunk.
struct Chunk {
  const HeadView& head;
  std::ptrdiff_t feature;
  __mmask32 mask;
  __m256i sign;  // where there are features

  Chunk(const HeadView& view, std::ptrdiff_t first) : head(view), feature(first) {
    const std::ptrdiff_t count = view.features - first;
    mask = count >= kChunk ? ~__mmask32{0} : (__mmask32{1} << count) - 1U;
    sign = _mm256_maskz_set1_epi8(mask, static_cast<char>(0x80));
  }

  /// The features of one token less 128, zero where there are none.
  __m256i half(std::ptrdiff_t token) const {
    if (token >= head.tokens) return _mm256_setzero_si256();
    const __m256i bytes = _mm256_maskz_loadu_epi8(mask, head.data + token * head.stride + feature);
    return _mm256_xor_si256(bytes, sign);
  }

  __m512i pair(std::ptrdiff_t first, std::ptrdiff_t second) const {
    return _mm512_inserti64x4(_mm512_castsi256_si512(half(first)), half(second), 1);
  }
};

struct Four {
  __m512i v[4];
};

/// Transposes the 4 x 4 numbers of 32 bits at the same place of the 16 bytes of four vectors.
inline Four transpose_numbers(const Four& x) {
  const __m512i a = _mm512_unpacklo_epi32(x.v[0], x.v[1]);
  const __m512i b = _mm512_unpackhi_epi32(x.v[0], x.v[1]);
  const __m512i c = _mm512_unpacklo_epi32(x.v[2], x.v[3]);
  const __m512i d = _mm512_unpackhi_epi32(x.v[2], x.v[3]);
  return {_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c), _mm512_unpacklo_epi64(b, d),
          _mm512_unpackhi_epi64(b, d)};
}

/// Interleaves four vectors byte by byte; each lane of 16 bytes by itself.
inline Four interleave_bytes(const Four& x) {
  const __m512i a = _mm512_unpacklo_epi8(x.v[0], x.v[1]);
  const __m512i b = _mm512_unpackhi_epi8(x.v[0], x.v[1]);
  const __m512i c = _mm512_unpacklo_epi8(x.v[2], x.v[3]);
  const __m512i d = _mm512_unpackhi_epi8(x.v[2], x.v[3]);
  return {_mm512_unpacklo_epi16(a, c), _mm512_unpackhi_epi16(a, c), _mm512_unpacklo_epi16(b, d),
          _mm512_unpackhi_epi16(b, d)};
}

/// Transposes the 4 x 4 lanes of 16 bytes of four vectors.
inline Four transpose_lanes(const Four& x) {
  const __m512i a = _mm512_shuffle_i32x4(x.v[0], x.v[1], 0x44);
  const __m512i b = _mm512_shuffle_i32x4(x.v[0], x.v[1], 0xEE);
  const __m512i c = _mm512_shuffle_i32x4(x.v[2], x.v[3], 0x44);
  const __m512i d = _mm512_shuffle_i32x4(x.v[2], x.v[3], 0xEE);
  return {_mm512_shuffle_i32x4(a, c, 0x88), _mm512_shuffle_i32x4(a, c, 0xDD),
          _mm512_shuffle_i32x4(b, d, 0x88), _mm512_shuffle_i32x4(b, d, 0xDD)};
}

/// Packs up to eight groups of features of 16 tokens, and adds the features to `sums`.
inline __m512i pack_key_chunk(const Chunk& chunk, std::ptrdiff_t token, std::ptrdiff_t groups,
                              std::int8_t* out, __m512i sums) {
  Four halves[2];
  for (int h = 0; h < 2; ++h) {
    // Tokens of the first and the second eight lie in the lower and the upper half.
    Four rows;
    for (int i = 0; i < 4; ++i) {
      const std::ptrdiff_t first = token + 4 * h + i;
      rows.v[i] = chunk.pair(first, first + 8);
    }
    halves[h] = transpose_numbers(rows);
  }
  const __m512i even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
  const __m512i odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
#pragma GCC unroll 8
  for (int g = 0; g < 8; ++g) {
    if (g >= groups) break;
    const __m512i group =
        _mm512_permutex2var_epi64(halves[0].v[g % 4], g < 4 ? even : odd, halves[1].v[g % 4]);
    _mm512_storeu_si512(out + g * kGroup, group);
    sums = _mm512_dpbusd_epi32(sums, _mm512_set1_epi8(1), group);
  }
  return sums;
}

/// Packs up to 32 features of eight tokens, or of four where there are no more.
inline void pack_value_chunk(const Chunk& chunk, std::ptrdiff_t token, std::ptrdiff_t panel_bytes,
                             std::int8_t* out) {
  Four rows;
  for (int i = 0; i < 4; ++i) rows.v[i] = chunk.pair(token + i, token + i + 4);
  const Four panels = transpose_lanes(interleave_bytes(rows));
  const bool has_second_group = token + 4 < chunk.head.tokens;
  _mm512_storeu_si512(out, panels.v[0]);
  if (has_second_group) _mm512_storeu_si512(out + kGroup, panels.v[2]);
  if (chunk.feature + kAttentionPanel >= chunk.head.features) return;
  _mm512_storeu_si512(out + panel_bytes, panels.v[1]);
  if (has_second_group) _mm512_storeu_si512(out + panel_bytes + kGroup, panels.v[3]);
}

}  // namespace

void u8_attention_keys_avx512vnni(const HeadView& keys, std::int32_t query_zero_point,
                                  std::int8_t* packed, std::int32_t* terms) noexcept {
  const std::ptrdiff_t groups = (keys.features + 3) / 4;
  const __m512i factor = _mm512_set1_epi32(-query_zero_point);
  for (std::ptrdiff_t token = 0; token < keys.tokens; token += kAttentionPanel) {
    __m512i sums = _mm512_setzero_si512();
    std::int8_t* out = packed + token * groups * 4;
    for (std::ptrdiff_t first = 0; first < groups; first += kChunk / 4) {
      const std::ptrdiff_t count = groups - first < kChunk / 4 ? groups - first : kChunk / 4;
      sums = pack_key_chunk(Chunk(keys, 4 * first), token, count, out + first * kGroup, sums);
    }
    _mm512_storeu_si512(terms + token, _mm512_mullo_epi32(sums, factor));
  }
}

void u8_attention_values_avx512vnni(const HeadView& values, std::int8_t* packed) noexcept {
  const std::ptrdiff_t panel_bytes = (values.tokens + 3) / 4 * kGroup;
  for (std::ptrdiff_t feature = 0; feature < values.features; feature += kChunk) {
    const Chunk chunk(values, feature);
    std::int8_t* out = packed + feature / kAttentionPanel * panel_bytes;
    for (std::ptrdiff_t token = 0; token < values.tokens; token += 8) {
      pack_value_chunk(chunk, token, panel_bytes, out + token / 4 * kGroup);
    }
  }
}

}  // namespace smidgen::kernels
