#include <immintrin.h>

#include "kernels/lookup/lookup.h"

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

}  // namespace

void u8_lookup_avx512vbmi(const LookupRows& rows, const std::uint8_t* table) noexcept {
  constexpr std::ptrdiff_t kStep = 64;
  const Table entries(table);
  const std::ptrdiff_t whole = rows.count / kStep * kStep;
  const __mmask64 tail = (__mmask64{1} << (rows.count - whole)) - 1U;
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    const std::uint8_t* x = rows.x + row * rows.x_stride;
    std::uint8_t* out = rows.out + row * rows.out_stride;
    for (std::ptrdiff_t i = 0; i < whole; i += kStep) {
      _mm512_storeu_si512(out + i, entries.look_up(_mm512_loadu_si512(x + i)));
    }
    if (tail == 0) continue;
    const __m512i found = entries.look_up(_mm512_maskz_loadu_epi8(tail, x + whole));
    _mm512_mask_storeu_epi8(out + whole, tail, found);
  }
}

}  // namespace smidgen::kernels
