#include <immintrin.h>

#include "kernels/attention/attention.h"
#include "kernels/attention/rows.inc"
#include "kernels/attention/simd_ymm.inc"

namespace smidgen::kernels {
namespace {

struct AvxVnni : Ymm {
  using Acc = __m256i;
  using Columns = __m256i;
  using Row = __m256i;

  static constexpr int kRows = 4;

  static Acc zero() { return _mm256_setzero_si256(); }
  static Columns load_columns(const std::int8_t* w) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
  }
  static Row broadcast(std::int32_t four) { return _mm256_set1_epi32(four); }
  static Acc dot(Acc acc, Row row, Columns columns) {
    return _mm256_dpbusd_avx_epi32(acc, row, columns);
  }
  static __m256i sums(Acc acc) { return acc; }
};

}  // namespace

void qu8_attention_avxvnni(const AttentionRows& rows) noexcept { run_attention<AvxVnni>(rows); }

}  // namespace smidgen::kernels
