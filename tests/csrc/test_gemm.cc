#include <algorithm>
#include <array>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/gemm/pack.h"
#include "kernels/gemm/reference.h"

#if SMIDGEN_X86
#include "avxvnni_as_avx512vl.h"
#endif

namespace smidgen::kernels {
namespace {

enum class Data : std::uint8_t { kRandom, kExtreme, kAlternating };

struct Problem {
  Index m, n, k;
  Index a_stride;
  std::int32_t zero_point;
  Data data;
  OutputRange range;
};

std::vector<GemmVariant> runnable_variants() {
  std::vector<GemmVariant> variants;
  for (const GemmVariant& variant : gemm_variants()) {
    if (cpu_has(variant.isa)) variants.push_back(variant);
  }
#if SMIDGEN_X86
  if (cpu_has(Isa::kAvx512Vnni)) {
    variants.push_back(
        {"gemm_6x16c4_avxvnni_as_avx512vl", Isa::kAvxVnni, 6, 16, gemm_6x16c4_avxvnni_as_avx512vl});
  }
#endif
  return variants;
}

struct Operands {
  std::vector<std::uint8_t> a;
  std::vector<std::int8_t> w;
  std::vector<std::int32_t> bias;
  std::vector<float> multipliers;
};

Operands make_operands(const Problem& problem, test::Random& random) {
  // Exactly what a kernel may read, so that the sanitizer sees any read beyond.
  const Index a_bytes = (problem.m - 1) * problem.a_stride + round_up(problem.k, 4);
  Operands operands{random.values<std::uint8_t>(a_bytes, 0, 255),
                    random.values<std::int8_t>(problem.n * problem.k, -128, 127),
                    random.values<std::int32_t>(problem.n, -100000, 100000),
                    std::vector<float>(static_cast<std::size_t>(problem.n))};
  if (problem.data != Data::kRandom) std::ranges::fill(operands.a, std::uint8_t{255});
  for (std::size_t i = 0; i < operands.w.size() && problem.data != Data::kRandom; ++i) {
    const bool flip = problem.data == Data::kAlternating && i % 2 == 1;
    operands.w[i] = static_cast<std::int8_t>(flip ? 127 : -128);
  }
  // Halves give ties; the second is of the usual size; the third exceeds 1.
  const std::array<float, 3> choices = {0.5F, 255.0F / (16129.0F * static_cast<float>(problem.k)),
                                        1.5F};
  for (float& multiplier : operands.multipliers) {
    multiplier = choices[static_cast<std::size_t>(random.between(0, 2))];
  }
  return operands;
}

void check_problem(const GemmVariant& variant, const Problem& problem, test::Random& random) {
  test::set_context(variant.name, "m", problem.m, "n", problem.n, "k", problem.k, "zero_point",
                    problem.zero_point);
  const Operands operands = make_operands(problem, random);
  const GemmVariant* row = &variant;
  const PackedGemm packed = pack_gemm({row, row}, problem.n, problem.k, operands.w, operands.bias,
                                      operands.multipliers, problem.zero_point);
  const Index out_stride = problem.n + 3;
  std::vector<std::uint8_t> expected(static_cast<std::size_t>(problem.m * out_stride));
  qu8_qc8w_gemm_reference(problem.m, problem.n, problem.k, operands.a.data(), problem.a_stride,
                          problem.zero_point, operands.w.data(), operands.bias.data(),
                          operands.multipliers.data(), problem.range, expected.data(), out_stride);
  test::GuardedBytes out(problem.m * out_stride);
  run_packed_gemm(packed, operands.a.data(), problem.a_stride, problem.m, 0, packed.panels,
                  problem.range, out.data(), out_stride);
  const auto is_output = [&](Index i) { return i % out_stride < problem.n; };
  CHECK(out.is_intact(is_output));
  for (Index i = 0; i < problem.m * out_stride; ++i) {
    if (is_output(i)) CHECK_EQUAL(out[i], expected[static_cast<std::size_t>(i)]);
  }
}

constexpr std::array<OutputRange, 3> kRanges = {OutputRange{-128, 127, 128}, OutputRange{0, 255, 0},
                                                OutputRange{-3, 40, 10}};
constexpr std::array<std::int32_t, 5> kZeroPoints = {0, 1, 127, 128, 255};

TEST(every_gemm_kernel_equals_the_reference_at_every_tile_edge) {
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(1);
    int turn = 0;
    for (Index m = 1; m <= 2 * variant.mr + 1; ++m) {
      for (const Index n :
           {Index{1}, Index{3}, Index{7}, Index{15}, Index{16}, Index{17}, Index{31}, Index{33},
            Index{64}, Index{65}, variant.nr - 1, variant.nr, 2 * variant.nr + 1}) {
        const auto at = static_cast<std::size_t>(turn++);
        const Index k = 1 + turn % 19;
        check_problem(variant,
                      {m, n, k, round_up(k, 4) + turn % 5, kZeroPoints[at % 5], Data::kRandom,
                       kRanges[at % 3]},
                      random);
      }
    }
  }
}

TEST(every_gemm_kernel_equals_the_reference_for_every_depth) {
  std::vector<Index> depths = {127, 128, 129, 1023};
  for (Index k = 1; k <= 70; ++k) depths.push_back(k);
  for (const GemmVariant& variant : runnable_variants()) {
    test::Random random(2);
    for (const Index k : depths) {
      for (const Data data : {Data::kRandom, Data::kExtreme, Data::kAlternating}) {
        const auto at = static_cast<std::size_t>(k);
        check_problem(
            variant,
            {variant.mr, variant.nr, k, round_up(k, 4), kZeroPoints[at % 5], data, kRanges[at % 3]},
            random);
      }
    }
  }
}

TEST(a_narrow_tail_panel_gives_the_same_as_a_wide_one) {
  for (const Isa isa : available_isas()) {
    for (Index n = 1; n <= 140; n += 3) {
      test::set_context(name_of(isa), "n", n);
      const GemmChoice choice = choose_gemm(isa, n, 1);
      CHECK(choice.main != nullptr && choice.main->isa == choice.tail->isa);
      CHECK(choice.tail->nr >= n % choice.main->nr);
      test::Random random(static_cast<std::uint64_t>(n));
      const auto a = random.values<std::uint8_t>(12, 0, 255);
      const auto w = random.values<std::int8_t>(n * 12, -127, 127);
      const auto bias = random.values<std::int32_t>(n, -1000, 1000);
      const std::vector<float> multipliers(static_cast<std::size_t>(n), 0.01F);
      const PackedGemm packed = pack_gemm(choice, n, 12, w, bias, multipliers, 9);
      std::vector<std::uint8_t> expected(static_cast<std::size_t>(n));
      qu8_qc8w_gemm_reference(1, n, 12, a.data(), 12, 9, w.data(), bias.data(), multipliers.data(),
                              kRanges[0], expected.data(), n);
      test::GuardedBytes out(n);
      run_packed_gemm(packed, a.data(), 12, 1, 0, packed.panels, kRanges[0], out.data(), n);
      CHECK(out.is_intact([](Index) { return true; }));
      for (Index j = 0; j < n; ++j) CHECK_EQUAL(out[j], expected[static_cast<std::size_t>(j)]);
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
