#include "kernels/simd/ymm.inc"
// In the vectors of the file above:
#include "kernels/attention/lanes_ymm.inc"
// and in those of both:
#include "kernels/attention/rows.inc"

namespace smidgen::kernels {
namespace {

/// Exact products of 16-bit words; those of bytes would saturate.
struct Avx2 {
  /// Pairs of the four products of columns 0 to 3, and of columns 4 to 7.
  struct Sums {
    __m256i low;
    __m256i high;
  };
  using Columns = Sums;
  using Row = __m256i;

  static constexpr int kRows = 2;
  static constexpr int kPanels = 1;

  static Sums start(const std::int32_t* numbers) {
    const auto* halves = reinterpret_cast<const __m128i*>(numbers);
    return {_mm256_cvtepu32_epi64(_mm_loadu_si128(halves)),
            _mm256_cvtepu32_epi64(_mm_loadu_si128(halves + 1))};
  }
  static Sums start_all(std::int32_t number) {
    const __m256i first = _mm256_set1_epi64x(static_cast<std::uint32_t>(number));
    return {first, first};
  }
  static Columns load(const std::int8_t* w) {
    const auto* halves = reinterpret_cast<const __m128i*>(w);
    return {_mm256_cvtepi8_epi16(_mm_loadu_si128(halves)),
            _mm256_cvtepi8_epi16(_mm_loadu_si128(halves + 1))};
  }
  static Row broadcast(std::int32_t four) { return _mm256_cvtepu8_epi16(_mm_set1_epi32(four)); }
  static Sums add(Sums sums, Row row, Columns columns) {
    return {_mm256_add_epi32(sums.low, _mm256_madd_epi16(row, columns.low)),
            _mm256_add_epi32(sums.high, _mm256_madd_epi16(row, columns.high))};
  }
  static __m256i total(Sums sums) {
    // Lanes of 128 bits hold the columns 0 1 4 5 and 2 3 6 7.
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums.low, sums.high), 0xD8);
  }
};

}  // namespace

void qu8_attention_avx2(const AttentionRows& rows) noexcept { run_attention<Avx2>(rows); }

}  // namespace smidgen::kernels
