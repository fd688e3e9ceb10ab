#include <immintrin.h>

#include "kernels/peak/chains.inc"

namespace smidgen::kernels {
namespace {

/// Exact sums take products of 16-bit values; vpmaddubsw would saturate.
struct Simd {
  using Vector = __m256i;
  static constexpr int kSums = 8;

  static Vector broadcast(std::int32_t value) { return _mm256_set1_epi32(value); }
  /// The sum is a factor too, as a product of constants would be computed only once.
  static Vector dot(Vector sum, Vector weights) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(sum, weights));
  }
  static void store(std::int32_t* sums, Vector sum) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), sum);
  }
};

}  // namespace

void u8_s8_peak_avx2(std::ptrdiff_t rounds, std::int32_t* sums) noexcept {
  run_chains<Simd>(rounds, sums);
}

}  // namespace smidgen::kernels
