#include <immintrin.h>

#include "kernels/layout/layout.h"

namespace smidgen::kernels {
namespace {

constexpr std::ptrdiff_t kBlock = 16;

inline __m128i load(const std::uint8_t* p) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
}

inline void store(std::uint8_t* p, __m128i v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), v);
}

struct Pair {
  __m128i low;
  __m128i high;
};

inline Pair interleave(__m128i a, __m128i b) {
  return {_mm_unpacklo_epi8(a, b), _mm_unpackhi_epi8(a, b)};
}

/// Interleaves row i with row i + 8, for all i, four times: each byte's row number loses its
/// highest bit to its column number, until the two have changed places.
inline void transpose_block(const std::uint8_t* x, std::ptrdiff_t x_stride, std::uint8_t* out,
                            std::ptrdiff_t out_stride) {
  __m128i rows[kBlock];
#pragma GCC unroll 16
  for (int i = 0; i < kBlock; ++i) rows[i] = load(x + i * x_stride);
#pragma GCC unroll 4
  for (int round = 0; round < 4; ++round) {
    __m128i next[kBlock];
#pragma GCC unroll 8
    for (int i = 0; i < kBlock / 2; ++i) {
      const Pair pair = interleave(rows[i], rows[i + kBlock / 2]);
      next[2 * i] = pair.low;
      next[2 * i + 1] = pair.high;
    }
#pragma GCC unroll 16
    for (int i = 0; i < kBlock; ++i) rows[i] = next[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < kBlock; ++i) store(out + i * out_stride, rows[i]);
}

void transpose_bytes(const Transposition& t, std::ptrdiff_t first_row,
                     std::ptrdiff_t first_column) {
  for (std::ptrdiff_t j = first_column; j < t.columns; ++j) {
    for (std::ptrdiff_t i = first_row; i < t.rows; ++i) {
      t.out[j * t.out_stride + i] = t.x[i * t.x_stride + j];
    }
  }
}

/// Where blocks start: the last one overlaps the one before, as out is never part of x.
inline std::ptrdiff_t start_of(std::ptrdiff_t block, std::ptrdiff_t extent) {
  return block * kBlock + kBlock <= extent ? block * kBlock : extent - kBlock;
}

void transpose_blocks(const Transposition& t) {
  const std::ptrdiff_t row_blocks = (t.rows + kBlock - 1) / kBlock;
  const std::ptrdiff_t column_blocks = (t.columns + kBlock - 1) / kBlock;
  for (std::ptrdiff_t j = 0; j < column_blocks; ++j) {
    const std::ptrdiff_t column = start_of(j, t.columns);
    for (std::ptrdiff_t i = 0; i < row_blocks; ++i) {
      const std::ptrdiff_t row = start_of(i, t.rows);
      transpose_block(t.x + row * t.x_stride + column, t.x_stride,
                      t.out + column * t.out_stride + row, t.out_stride);
    }
  }
}

/// The bytes of a vector that go to others, or -1, for vpshufb.
struct Positions {
  alignas(16) signed char index[16];

  __m128i vector() const { return _mm_load_si128(reinterpret_cast<const __m128i*>(index)); }
};

/// Where byte 16 * vector + i of abcabc... is in the plane, if it is in that plane.
inline __m128i places_in_plane(int plane, int vector) {
  Positions positions;
  for (int i = 0; i < 16; ++i) {
    const int byte = 16 * vector + i;
    positions.index[i] = static_cast<signed char>(byte % 3 == plane ? byte / 3 : -1);
  }
  return positions.vector();
}

/// Where byte i of the plane is in the vector of abcabc..., if it is in that vector.
inline __m128i places_in_vector(int plane, int vector) {
  Positions positions;
  for (int i = 0; i < 16; ++i) {
    const int byte = 3 * i + plane - 16 * vector;
    positions.index[i] = static_cast<signed char>(byte >= 0 && byte < 16 ? byte : -1);
  }
  return positions.vector();
}

inline __m128i combine(__m128i a, __m128i b, __m128i c, const __m128i* indices) {
  return _mm_or_si128(
      _mm_or_si128(_mm_shuffle_epi8(a, indices[0]), _mm_shuffle_epi8(b, indices[1])),
      _mm_shuffle_epi8(c, indices[2]));
}

/// Three planes to pixels of three bytes.
void join_planes(const Transposition& t) {
  __m128i indices[3][3];
  for (int vector = 0; vector < 3; ++vector) {
    for (int plane = 0; plane < 3; ++plane) indices[vector][plane] = places_in_plane(plane, vector);
  }
  std::ptrdiff_t j = 0;
  for (; j + kBlock <= t.columns; j += kBlock) {
    const __m128i a = load(t.x + j);
    const __m128i b = load(t.x + t.x_stride + j);
    const __m128i c = load(t.x + 2 * t.x_stride + j);
    for (int vector = 0; vector < 3; ++vector) {
      store(t.out + 3 * j + 16 * vector, combine(a, b, c, indices[vector]));
    }
  }
  transpose_bytes(t, 0, j);
}

/// Pixels of three bytes to three planes.
void split_planes(const Transposition& t) {
  __m128i indices[3][3];
  for (int plane = 0; plane < 3; ++plane) {
    for (int vector = 0; vector < 3; ++vector)
      indices[plane][vector] = places_in_vector(plane, vector);
  }
  std::ptrdiff_t i = 0;
  for (; i + kBlock <= t.rows; i += kBlock) {
    const __m128i a = load(t.x + 3 * i);
    const __m128i b = load(t.x + 3 * i + 16);
    const __m128i c = load(t.x + 3 * i + 32);
    for (int plane = 0; plane < 3; ++plane) {
      store(t.out + plane * t.out_stride + i, combine(a, b, c, indices[plane]));
    }
  }
  transpose_bytes(t, i, 0);
}

}  // namespace

void u8_transpose_avx2(const Transposition& t) noexcept {
  if (t.rows >= kBlock && t.columns >= kBlock) return transpose_blocks(t);
  if (t.rows == 3 && t.out_stride == 3) return join_planes(t);
  if (t.columns == 3 && t.x_stride == 3) return split_planes(t);
  transpose_bytes(t, 0, 0);
}

}  // namespace smidgen::kernels
