#include <immintrin.h>

#include "kernels/peak/chains.inc"

namespace smidgen::kernels {
namespace {

struct Simd {
  using Vector = __m256i;
  static constexpr int kSums = 8;

  static Vector broadcast(std::int32_t value) { return _mm256_set1_epi32(value); }
  static Vector dot(Vector sum, Vector weights) {
    return _mm256_dpbusd_avx_epi32(sum, weights, weights);
  }
  static void store(std::int32_t* sums, Vector sum) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(sums), sum);
  }
};

}  // namespace

void u8_s8_peak_avxvnni(std::ptrdiff_t rounds, std::int32_t* sums) noexcept {
  run_chains<Simd>(rounds, sums);
}

}  // namespace smidgen::kernels
