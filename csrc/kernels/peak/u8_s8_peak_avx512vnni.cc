#include <immintrin.h>

#include "kernels/peak/chains.inc"

namespace smidgen::kernels {
namespace {

struct Simd {
  using Vector = __m512i;
  static constexpr int kSums = 16;

  static Vector broadcast(std::int32_t value) { return _mm512_set1_epi32(value); }
  static Vector dot(Vector sum, Vector weights) {
    return _mm512_dpbusd_epi32(sum, weights, weights);
  }
  static void store(std::int32_t* sums, Vector sum) { _mm512_storeu_si512(sums, sum); }
};

}  // namespace

void u8_s8_peak_avx512vnni(std::ptrdiff_t rounds, std::int32_t* sums) noexcept {
  run_chains<Simd>(rounds, sums);
}

}  // namespace smidgen::kernels
