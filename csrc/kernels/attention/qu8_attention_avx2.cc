#include <immintrin.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/rows.inc"
#include "kernels/attention/simd_ymm.inc"

namespace smidgen::kernels {
namespace {

/// Exact products of 16-bit words; those of bytes would saturate.
struct Avx2 : Ymm {
  /// Pairs of the four products of columns 0 to 3, and of columns 4 to 7.
  struct Acc {
    __m256i low;
    __m256i high;
  };
  using Columns = Acc;
  using Row = __m256i;

  static constexpr int kRows = 2;

  static Acc zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static Columns load_columns(const std::int8_t* w) {
    const auto* halves = reinterpret_cast<const __m128i*>(w);
    return {_mm256_cvtepi8_epi16(_mm_loadu_si128(halves)),
            _mm256_cvtepi8_epi16(_mm_loadu_si128(halves + 1))};
  }
  static Row broadcast(std::int32_t four) { return _mm256_cvtepu8_epi16(_mm_set1_epi32(four)); }
  static Acc dot(Acc acc, Row row, Columns columns) {
    return {_mm256_add_epi32(acc.low, _mm256_madd_epi16(row, columns.low)),
            _mm256_add_epi32(acc.high, _mm256_madd_epi16(row, columns.high))};
  }
  static __m256i sums(Acc acc) {
    // Lanes of 128 bits hold the columns 0 1 4 5 and 2 3 6 7.
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(acc.low, acc.high), 0xD8);
  }
};

}  // namespace

void qu8_attention_avx2(const AttentionRows& rows) noexcept { run_attention<Avx2>(rows); }

}  // namespace smidgen::kernels
