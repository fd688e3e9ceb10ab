#include <immintrin.h>

#include "kernels/lookup/lookup.h"
#include "kernels/lookup/rows.inc"

namespace smidgen::kernels {
namespace {

/// Looks 32 values up in each sixteenth of the table. After subtracting its start, only values
/// inside it lie in 0..15; adding 0x70 with saturation sets the top bit of all others, for which
/// vpshufb gives 0.
inline __m256i look_up(__m256i x, const std::uint8_t* table) {
  __m256i result = _mm256_setzero_si256();
  for (int start = 0; start < 256; start += 16) {
    const __m256i part = _mm256_broadcastsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(table + start)));
    const __m256i shifted = _mm256_sub_epi8(x, _mm256_set1_epi8(static_cast<char>(start)));
    const __m256i index = _mm256_adds_epu8(shifted, _mm256_set1_epi8(0x70));
    result = _mm256_or_si256(result, _mm256_shuffle_epi8(part, index));
  }
  return result;
}

}  // namespace

void u8_lookup_avx2(const LookupRows& any_rows, const std::uint8_t* table) noexcept {
  const LookupRows rows = joined(any_rows);
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    const std::uint8_t* x = rows.x + row * rows.x_stride;
    std::uint8_t* out = rows.out + row * rows.out_stride;
    std::ptrdiff_t i = 0;
    for (; i + 32 <= rows.count; i += 32) {
      const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i));
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), look_up(values, table));
    }
    for (; i < rows.count; ++i) out[i] = table[x[i]];
  }
}

}  // namespace smidgen::kernels
