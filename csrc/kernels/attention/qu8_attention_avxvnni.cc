#include "kernels/simd/ymm.inc"
// In the vectors of the file above:
#include "kernels/attention/lanes_ymm.inc"
// and in those of both:
#include "kernels/attention/rows.inc"

namespace smidgen::kernels {
namespace {

struct AvxVnni {
  using Sums = __m256i;
  using Columns = __m256i;
  using Row = __m256i;

  static constexpr int kRows = 4;
  static constexpr int kPanels = 1;

  static Sums start(const std::int32_t* numbers) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(numbers));
  }
  static Sums start_all(std::int32_t number) { return _mm256_set1_epi32(number); }
  static Columns load(const std::int8_t* w) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(w));
  }
  static Row broadcast(std::int32_t four) { return _mm256_set1_epi32(four); }
  static Sums add(Sums sums, Row row, Columns columns) {
    return _mm256_dpbusd_avx_epi32(sums, row, columns);
  }
  static __m256i total(Sums sums) { return sums; }
};

}  // namespace

void qu8_attention_avxvnni(const AttentionRows& rows) noexcept { run_attention<AvxVnni>(rows); }

}  // namespace smidgen::kernels
