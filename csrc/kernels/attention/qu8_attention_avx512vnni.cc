#include "kernels/simd/zmm.inc"
// In the vectors of the file above:
#include "kernels/attention/lanes_zmm.inc"
// and in those of both:
#include "kernels/attention/rows.inc"

namespace smidgen::kernels {
namespace {

struct Avx512Vnni {
  using Sums = __m512i;
  using Columns = __m512i;
  using Row = __m512i;

  static constexpr int kRows = 8;
  static constexpr int kPanels = 2;

  static Sums start(const std::int32_t* numbers) { return _mm512_loadu_si512(numbers); }
  static Sums start_all(std::int32_t number) { return _mm512_set1_epi32(number); }
  static Columns load(const std::int8_t* w) { return _mm512_loadu_si512(w); }
  static Row broadcast(std::int32_t four) { return _mm512_set1_epi32(four); }
  static Sums add(Sums sums, Row row, Columns columns) {
    return _mm512_dpbusd_epi32(sums, row, columns);
  }
  static __m512i total(Sums sums) { return sums; }
};

}  // namespace

void qu8_attention_avx512vnni(const AttentionRows& rows) noexcept {
  run_attention<Avx512Vnni>(rows);
}

}  // namespace smidgen::kernels
