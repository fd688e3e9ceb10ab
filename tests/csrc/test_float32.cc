#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/float32/registry.h"
#include "ops/binary.h"
#include "ops/layer_norm.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/transpose.h"
#include "ops/unary.h"

namespace smidgen {
namespace {

using test::GuardedBytes;

constexpr std::array<Index, 10> kCounts = {1, 2, 7, 15, 16, 17, 31, 32, 33, 200};

/// Values of all sizes, NaN, infinities, zeros of both signs and subnormal numbers among them.
std::vector<float> floats(Index count, std::uint64_t seed) {
  constexpr std::array kSpecial = {std::numeric_limits<float>::quiet_NaN(),
                                   std::numeric_limits<float>::infinity(),
                                   -std::numeric_limits<float>::infinity(),
                                   0.0F,
                                   -0.0F,
                                   1e-42F,
                                   -3e38F,
                                   88.7228F,
                                   -87.3366F};
  test::Random random(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) {
    const auto size = static_cast<float>(random.between(1, 4000));
    value = static_cast<float>(random.between(-100000, 100000)) / (size * size);
    if (random.between(0, 9) == 0) value = kSpecial[static_cast<std::size_t>(random.between(0, 8))];
  }
  return values;
}

/// Equal in every bit, but for the sign and payload of NaN.
bool are_same(const float* found, const float* expected, Index count) {
  for (Index i = 0; i < count; ++i) {
    if (std::isnan(found[i]) && std::isnan(expected[i])) continue;
    if (std::memcmp(found + i, expected + i, sizeof(float)) != 0) return false;
  }
  return true;
}

/// Runs a kernel and the portable one of its table, the first, and compares what they write.
template <typename Variant, typename Run>
void expect_same(const Variant& variant, const Variant& portable, Index count, const Run& run) {
  const auto bytes = static_cast<std::ptrdiff_t>(count * static_cast<Index>(sizeof(float)));
  GuardedBytes found(bytes);
  GuardedBytes expected(bytes);
  run(variant.kernel, reinterpret_cast<float*>(found.data()));
  run(portable.kernel, reinterpret_cast<float*>(expected.data()));
  CHECK(found.is_intact([](std::ptrdiff_t) { return true; }));
  CHECK(are_same(reinterpret_cast<float*>(found.data()), reinterpret_cast<float*>(expected.data()),
                 count));
}

TEST(every_unary_kernel_equals_the_portable_one) {
  const std::array<float, 2> parameters = {-0.75F, 1.5F};
  for (const auto& variant : kernels::unary_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (int function = 0; function <= static_cast<int>(kernels::UnaryFunction::kTanh);
         ++function) {
      for (const Index count : kCounts) {
        test::set_context(variant.name, "function", function, "count", count);
        const std::vector<float> x = floats(count, static_cast<std::uint64_t>(count));
        expect_same(variant, kernels::unary_variants().front(), count,
                    [&](kernels::UnaryKernel kernel, float* out) {
                      kernel({static_cast<kernels::UnaryFunction>(function), count, x.data(),
                              parameters.data(), out});
                    });
      }
    }
  }
}

TEST(every_binary_kernel_equals_the_portable_one) {
  constexpr std::array<std::array<Index, 2>, 3> kSteps = {{{1, 1}, {1, 0}, {0, 1}}};
  for (const auto& variant : kernels::binary_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (int function = 0; function <= static_cast<int>(kernels::BinaryFunction::kMaximum);
         ++function) {
      for (const Index count : kCounts) {
        for (const auto& [lhs_step, rhs_step] : kSteps) {
          test::set_context(variant.name, "function", function, "count", count, lhs_step);
          const std::vector<float> lhs = floats(lhs_step == 0 ? 1 : count, 5);
          const std::vector<float> rhs = floats(rhs_step == 0 ? 1 : count, 6);
          expect_same(variant, kernels::binary_variants().front(), count,
                      [&, lhs_step = lhs_step, rhs_step = rhs_step](kernels::BinaryKernel kernel,
                                                                    float* out) {
                        kernel({static_cast<kernels::BinaryFunction>(function), count, lhs.data(),
                                rhs.data(), lhs_step, rhs_step, out});
                      });
        }
      }
    }
  }
}

TEST(every_row_kernel_equals_the_portable_one) {
  constexpr Index kRows = 6;
  for (const Index count : kCounts) {
    const std::vector<float> x = floats(kRows * count, 7);
    const std::vector<float> addend = floats(kRows * count, 9);
    const std::vector<float> weight = floats(count, 8);
    for (const auto& variant : kernels::reduce_variants()) {
      if (!cpu_has(variant.isa)) continue;
      for (int function = 0; function <= static_cast<int>(kernels::RowFunction::kMinimum);
           ++function) {
        test::set_context(variant.name, "function", function, "count", count);
        expect_same(
            variant, kernels::reduce_variants().front(), kRows,
            [&](kernels::ReduceKernel kernel, float* out) {
              kernel({static_cast<kernels::RowFunction>(function), kRows, count, x.data(), out});
            });
      }
    }
    for (const auto& variant : kernels::softmax_variants()) {
      if (!cpu_has(variant.isa)) continue;
      test::set_context(variant.name, "count", count);
      expect_same(variant, kernels::softmax_variants().front(), kRows * count,
                  [&](kernels::SoftmaxKernel kernel, float* out) {
                    kernel({kRows, count, x.data(), out});
                  });
    }
    for (const auto& variant : kernels::layer_norm_variants()) {
      if (!cpu_has(variant.isa)) continue;
      for (int given = 0; given < 8; ++given) {
        test::set_context(variant.name, "count", count, "weight, bias and addend", given);
        const float* own_weight = given % 2 == 0 ? nullptr : weight.data();
        const float* own_bias = given / 2 % 2 == 0 ? nullptr : weight.data();
        const float* own_addend = given < 4 ? nullptr : addend.data();
        expect_same(
            variant, kernels::layer_norm_variants().front(), kRows * count,
            [&](kernels::LayerNormKernel kernel, float* out) {
              kernel({kRows, count, x.data(), own_addend, own_weight, own_bias, 0.125F, out});
            });
      }
    }
  }
}

TEST(every_matmul_kernel_adds_products_in_order) {
  constexpr Index kDepth = 19;
  for (const kernels::MatMulVariant& variant : kernels::matmul_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (Index m = 1; m <= variant.mr; ++m) {
      for (Index n = 1; n <= variant.nr; ++n) {
        test::set_context(variant.name, "m", m, "n", n);
        const std::vector<float> a = floats(m * kDepth, 9);
        const std::vector<float> b = floats(kDepth * n, 10);
        std::vector<float> expected(static_cast<std::size_t>(m * n), 0.0F);
        for (Index i = 0; i < m * n; ++i) {
          float& sum = expected[static_cast<std::size_t>(i)];
          for (Index k = 0; k < kDepth; ++k) {
            const float product = a[static_cast<std::size_t>(i / n * kDepth + k)] *
                                  b[static_cast<std::size_t>(k * n + i % n)];
            sum = sum + product;
          }
        }
        GuardedBytes out(m * n * static_cast<Index>(sizeof(float)));
        auto* found = reinterpret_cast<float*>(out.data());
        variant.kernel({m, n, kDepth, a.data(), kDepth, b.data(), n, found, n});
        CHECK(out.is_intact([](std::ptrdiff_t) { return true; }));
        CHECK(are_same(found, expected.data(), m * n));
      }
    }
  }
}

struct Case {
  const char* name;
  std::unique_ptr<ops::Operator> op;
  std::vector<Shape> inputs;
};

std::vector<Case> float_cases(Isa isa) {
  std::vector<Case> cases;
  const auto add = [&](const char* name, std::unique_ptr<ops::Operator> op,
                       std::vector<Shape> inputs) {
    cases.push_back({name, std::move(op), std::move(inputs)});
  };
  add("unary",
      std::make_unique<ops::Unary>(kernels::UnaryFunction::kGelu, ops::Unary::Parameters{}, isa),
      {{3, 67}});
  add("binary", std::make_unique<ops::Binary>(kernels::BinaryFunction::kSub, isa),
      {{5, 1, 33}, {7, 1}});
  add("power", std::make_unique<ops::Power>(), {{5, 33}, {33}});
  add("softmax", std::make_unique<ops::Softmax>(2, isa), {{3, 5, 37}});
  add("softmax across", std::make_unique<ops::Softmax>(1, isa), {{3, 5, 37}});
  add("layer norm", std::make_unique<ops::LayerNorm>(ops::LayerNormConstants{{}, {}, 0.5F}, isa),
      {{11, 37}});
  add("sum",
      std::make_unique<ops::Reduce>(kernels::RowFunction::kSum, ops::ReducedAxes{{1}, false}, isa),
      {{3, 41, 50}});
  add("mean of rows",
      std::make_unique<ops::Reduce>(kernels::RowFunction::kMean, ops::ReducedAxes{{2}, true}, isa),
      {{3, 41, 50}});
  add("matmul", std::make_unique<ops::MatMul>(false, isa), {{3, 1, 13, 9}, {2, 9, 300}});
  add("matmul transposed", std::make_unique<ops::MatMul>(true, isa), {{3, 13, 9}, {70, 9}});
  add("transpose", std::make_unique<ops::Transpose>(std::vector<int>{2, 0, 1}, DType::kFloat32),
      {{9, 17, 20}});
  return cases;
}

std::vector<float> run_in_parts(const Case& test, const std::vector<std::vector<float>>& inputs,
                                int parts) {
  const Shape out = test.op->output_shape(test.inputs);
  std::vector<float> result(static_cast<std::size_t>(out.element_count()), -7.0F);
  std::vector<ops::TensorView> views;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto* data = const_cast<float*>(inputs[i].data());
    views.push_back(ops::dense_view(test.inputs[i], reinterpret_cast<std::byte*>(data)));
  }
  const ops::Epilogue epilogue;
  for (int part = 0; part < parts; ++part) {
    AlignedBuffer scratch(test.op->scratch_bytes(test.inputs) + kAlignment);
    test.op->run({.inputs = views,
                  .output = ops::dense_view(out, reinterpret_cast<std::byte*>(result.data())),
                  .epilogue = epilogue,
                  .scratch = scratch.data(),
                  .thread = part,
                  .threads = parts,
                  .candidate = 0});
  }
  return result;
}

TEST(float_operators_give_the_same_in_any_number_of_parts_and_at_any_level) {
  const std::vector<Case> portable = float_cases(Isa::kPortable);
  for (std::size_t i = 0; i < portable.size(); ++i) {
    std::vector<std::vector<float>> inputs;
    for (const Shape& shape : portable[i].inputs) {
      inputs.push_back(floats(shape.element_count(), 20 + inputs.size()));
    }
    const std::vector<float> expected = run_in_parts(portable[i], inputs, 1);
    for (const Isa isa : available_isas()) {
      const Case own = std::move(float_cases(isa)[i]);
      for (const int parts : {1, 2, 3, 7}) {
        test::set_context(own.name, name_of(isa), "parts", parts);
        const std::vector<float> found = run_in_parts(own, inputs, parts);
        CHECK(are_same(found.data(), expected.data(), static_cast<Index>(expected.size())));
      }
    }
  }
}

}  // namespace
}  // namespace smidgen
