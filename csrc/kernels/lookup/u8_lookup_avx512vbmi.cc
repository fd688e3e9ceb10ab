#include <immintrin.h>

#include "kernels/lookup/lookup.h"
#include "kernels/lookup/rows.inc"

namespace smidgen::kernels {
namespace {

/// The table in four registers; vpermi2b looks a value's low seven bits up in two of them.
struct Table {
  __m512i part0;
  __m512i part1;
  __m512i part2;
  __m512i part3;

  explicit Table(const std::uint8_t* table)
      : part0(_mm512_loadu_si512(table)),
        part1(_mm512_loadu_si512(table + 64)),
        part2(_mm512_loadu_si512(table + 128)),
        part3(_mm512_loadu_si512(table + 192)) {}

  __m512i look_up(__m512i x) const {
    const __m512i low = _mm512_permutex2var_epi8(part0, x, part1);
    const __m512i high = _mm512_permutex2var_epi8(part2, x, part3);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high);
  }
};

/// The end of a row, in pieces of halved length. In place, a masked store of a whole vector would
/// hold up the load of the next row: the CPU takes the bytes that it leaves alone for written.
void look_up_tail(const Table& entries, const std::uint8_t* x, std::ptrdiff_t count,
                  std::uint8_t* out) {
  if (count & 32) {
    const __m256i values = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x));
    const __m512i found = entries.look_up(_mm512_castsi256_si512(values));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm512_castsi512_si256(found));
    x += 32;
    out += 32;
  }
  if (count & 16) {
    const __m128i values = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x));
    const __m512i found = entries.look_up(_mm512_castsi128_si512(values));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm512_castsi512_si128(found));
    x += 16;
    out += 16;
  }
  if (count & 8) {
    const __m128i values = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(x));
    const __m512i found = entries.look_up(_mm512_castsi128_si512(values));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), _mm512_castsi512_si128(found));
    x += 8;
    out += 8;
  }
  const auto rest = static_cast<__mmask16>((1U << (count & 7)) - 1U);
  if (rest == 0) return;
  const __m128i values = _mm_maskz_loadu_epi8(rest, x);
  const __m512i found = entries.look_up(_mm512_castsi128_si512(values));
  _mm_mask_storeu_epi8(out, rest, _mm512_castsi512_si128(found));
}

}  // namespace

void u8_lookup_avx512vbmi(const LookupRows& any_rows, const std::uint8_t* table) noexcept {
  constexpr std::ptrdiff_t kStep = 64;
  const LookupRows rows = joined(any_rows);
  const Table entries(table);
  const std::ptrdiff_t whole = rows.count / kStep * kStep;
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    const std::uint8_t* x = rows.x + row * rows.x_stride;
    std::uint8_t* out = rows.out + row * rows.out_stride;
    for (std::ptrdiff_t i = 0; i < whole; i += kStep) {
      _mm512_storeu_si512(out + i, entries.look_up(_mm512_loadu_si512(x + i)));
    }
    look_up_tail(entries, x + whole, rows.count - whole, out + whole);
  }
}

}  // namespace smidgen::kernels
