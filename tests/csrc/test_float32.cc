#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <deque>
#include <limits>
#include <memory>
#include <vector>

#include "check.h"
#include "guarded.h"
#include "kernels/float32/registry.h"
#include "ops/binary.h"
#include "ops/float_depthwise.h"
#include "ops/layer_norm.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/softmax.h"
#include "ops/transpose.h"
#include "ops/unary.h"

namespace smidgen {
namespace {

using test::Fence;
using test::Fenced;
using test::GuardedBytes;

/// Two vectors of the widest kind and all tails, and many of them.
const std::vector<Index> kCounts = [] {
  std::vector<Index> counts = {64, 200};
  for (Index count = 1; count <= 35; ++count) counts.push_back(count);
  return counts;
}();

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
void expect_same(const Variant& variant, const Variant& portable, Index count, Fence fence,
                 const Run& run) {
  GuardedBytes found(count * Index{sizeof(float)}, fence);
  GuardedBytes expected(count * Index{sizeof(float)}, fence);
  run(variant.kernel, reinterpret_cast<float*>(found.data()));
  run(portable.kernel, reinterpret_cast<float*>(expected.data()));
  CHECK(found.is_intact([](Index) { return true; }));
  CHECK(are_same(reinterpret_cast<float*>(found.data()), reinterpret_cast<float*>(expected.data()),
                 count));
}

/// Calls visit(variant, function, count, fence) for each variant that this machine runs.
template <typename Function, typename Variants, typename Visit>
void for_each_function(const Variants& variants, Function last, const Visit& visit) {
  for (const auto& variant : variants) {
    if (!cpu_has(variant.isa)) continue;
    for (int function = 0; function <= static_cast<int>(last); ++function) {
      for (const Index count : kCounts) {
        for (const Fence fence : test::kFences) {
          test::set_context(variant.name, "function", function, "count", count);
          visit(variant, static_cast<Function>(function), count, fence);
        }
      }
    }
  }
}

TEST(every_unary_kernel_equals_the_portable_one) {
  for_each_function(
      kernels::unary_variants(), kernels::UnaryFunction::kTanh,
      [](const auto& variant, kernels::UnaryFunction function, Index count, Fence fence) {
        const Fenced parameters(std::vector<float>{-0.75F, 1.5F}, fence);
        const Fenced x(floats(count, static_cast<std::uint64_t>(count)), fence);
        expect_same(variant, kernels::unary_variants().front(), count, fence,
                    [&](kernels::UnaryKernel kernel, float* out) {
                      kernel({function, count, x.data(), parameters.data(), out});
                    });
      });
}

TEST(every_binary_kernel_equals_the_portable_one) {
  constexpr std::array<std::array<Index, 2>, 3> kSteps = {{{1, 1}, {1, 0}, {0, 1}}};
  for_each_function(
      kernels::binary_variants(), kernels::BinaryFunction::kMaximum,
      [&](const auto& variant, kernels::BinaryFunction function, Index count, Fence fence) {
        for (const std::array<Index, 2>& steps : kSteps) {
          const Fenced lhs(floats(steps[0] == 0 ? 1 : count, 5), fence);
          const Fenced rhs(floats(steps[1] == 0 ? 1 : count, 6), fence);
          expect_same(variant, kernels::binary_variants().front(), count, fence,
                      [&](kernels::BinaryKernel kernel, float* out) {
                        kernel({function, count, lhs.data(), rhs.data(), steps[0], steps[1], out});
                      });
        }
      });
}

constexpr Index kRows = 6;

TEST(every_reducing_kernel_equals_the_portable_one) {
  for_each_function(
      kernels::reduce_variants(), kernels::RowFunction::kMinimum,
      [](const auto& variant, kernels::RowFunction function, Index count, Fence fence) {
        const Fenced x(floats(kRows * count, 7), fence);
        expect_same(variant, kernels::reduce_variants().front(), kRows, fence,
                    [&](kernels::ReduceKernel kernel, float* out) {
                      kernel({function, kRows, count, x.data(), out});
                    });
      });
}

TEST(every_softmax_kernel_equals_the_portable_one) {
  constexpr int kOnlyOne = 0;
  for_each_function(kernels::softmax_variants(), kOnlyOne,
                    [](const auto& variant, int, Index count, Fence fence) {
                      const Fenced x(floats(kRows * count, 7), fence);
                      expect_same(variant, kernels::softmax_variants().front(), kRows * count,
                                  fence, [&](kernels::SoftmaxKernel kernel, float* out) {
                                    kernel({kRows, count, x.data(), out});
                                  });
                    });
}

TEST(every_layer_norm_kernel_equals_the_portable_one) {
  constexpr int kAllGiven = 7;
  for_each_function(kernels::layer_norm_variants(), kAllGiven,
                    [](const auto& variant, int given, Index count, Fence fence) {
                      const Fenced x(floats(kRows * count, 7), fence);
                      const Fenced addend(floats(kRows * count, 10), fence);
                      const Fenced weight(floats(count, 8), fence);
                      const Fenced bias(floats(count, 9), fence);
                      const float* own_weight = given % 2 == 0 ? nullptr : weight.data();
                      const float* own_bias = given / 2 % 2 == 0 ? nullptr : bias.data();
                      const float* own_addend = given < 4 ? nullptr : addend.data();
                      expect_same(variant, kernels::layer_norm_variants().front(), kRows * count,
                                  fence, [&](kernels::LayerNormKernel kernel, float* out) {
                                    kernel({kRows, count, x.data(), own_addend, own_weight,
                                            own_bias, 0.125F, out});
                                  });
                    });
}

TEST(every_scaling_kernel_equals_the_formula) {
  constexpr int kOnlyOne = 0;
  for_each_function(kernels::scale_row_variants(), kOnlyOne,
                    [](const auto& variant, int, Index count, Fence fence) {
                      test::Random random(13);
                      const Fenced row(random.values<std::int8_t>(count, -128, 127), fence);
                      GuardedBytes out(count * Index{sizeof(float)}, fence);
                      const auto* floats_out = reinterpret_cast<float*>(out.data());
                      variant.kernel(count, row.data(), 0.3F, reinterpret_cast<float*>(out.data()));
                      CHECK(out.is_intact([](Index) { return true; }));
                      for (Index i = 0; i < count; ++i) {
                        CHECK_EQUAL(floats_out[i], static_cast<float>(row[i]) * 0.3F);
                      }
                    });
}

TEST(float_kernels_can_write_over_what_they_read) {
  const std::array<float, 2> parameters = {-0.75F, 1.5F};
  const auto check = [](Index count, Fence fence, const auto& run) {
    const std::vector<float> x = floats(kRows * count, 11);
    std::vector<float> expected(x.size());
    run(x.data(), expected.data());
    GuardedBytes in_place(kRows * count * Index{sizeof(float)}, fence);
    auto* values = reinterpret_cast<float*>(in_place.data());
    std::ranges::copy(x, values);
    run(values, values);
    CHECK(in_place.is_intact([](Index) { return true; }));
    CHECK(are_same(values, expected.data(), kRows * count));
  };
  for_each_function(
      kernels::unary_variants(), kernels::UnaryFunction::kTanh,
      [&](const auto& variant, kernels::UnaryFunction function, Index count, Fence fence) {
        check(count, fence, [&](const float* x, float* out) {
          variant.kernel({function, kRows * count, x, parameters.data(), out});
        });
      });
  constexpr int kOnlyOne = 0;
  for_each_function(kernels::softmax_variants(), kOnlyOne,
                    [&](const auto& variant, int, Index count, Fence fence) {
                      check(count, fence, [&](const float* x, float* out) {
                        variant.kernel({kRows, count, x, out});
                      });
                    });
  for_each_function(kernels::layer_norm_variants(), kOnlyOne,
                    [&](const auto& variant, int, Index count, Fence fence) {
                      check(count, fence, [&](const float* x, float* out) {
                        variant.kernel({kRows, count, x, nullptr, nullptr, nullptr, 0.125F, out});
                      });
                    });
}

/// A tile of matrices whose rows lie `gap` elements apart.
void check_matmul(const kernels::MatMulVariant& variant, Index m, Index n, Index gap, Fence fence) {
  constexpr Index kDepth = 19;
  const Index a_stride = kDepth + gap;
  const Index stride = n + gap;
  const Fenced a(floats(test::extent_of_rows(m, a_stride, kDepth), 9), fence);
  const Fenced b(floats(test::extent_of_rows(kDepth, stride, n), 10), fence);
  GuardedBytes out(test::extent_of_rows(m, stride, n) * Index{sizeof(float)}, fence);
  auto* found = reinterpret_cast<float*>(out.data());
  variant.kernel({m, n, kDepth, a.data(), a_stride, b.data(), stride, found, stride});
  CHECK(out.is_intact([&](Index i) { return i / Index{sizeof(float)} % stride < n; }));
  for (Index i = 0; i < m; ++i) {
    for (Index j = 0; j < n; ++j) {
      float sum = 0.0F;
      for (Index k = 0; k < kDepth; ++k) {
        const float product = a[i * a_stride + k] * b[k * stride + j];
        sum = sum + product;
      }
      CHECK(are_same(found + i * stride + j, &sum, 1));
    }
  }
}

TEST(every_matmul_kernel_adds_products_in_order) {
  for (const kernels::MatMulVariant& variant : kernels::matmul_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (Index m = 1; m <= variant.mr; ++m) {
      for (Index n = 1; n <= variant.nr; ++n) {
        for (const Index gap : {0, 3}) {
          test::set_context(variant.name, "m", m, "n", n, "gap", gap);
          for (const Fence fence : test::kFences) check_matmul(variant, m, n, gap, fence);
        }
      }
    }
  }
}

/// Rows of one channel whose taps lie `gap` elements apart beyond the outputs of a row.
void check_depthwise(const kernels::Float32Variant<kernels::FloatDepthwiseKernel>& variant,
                     Index rows, Index count, Index gap, Fence fence) {
  const std::vector<Index> offsets = {0, 1 + gap, 2, count + gap, 2 * (count + gap) + 1};
  const auto taps = static_cast<Index>(offsets.size());
  const Index stride = count + gap;
  const Index extent = test::extent_of_rows(rows, stride, count) + offsets.back();
  const Fenced x(floats(extent, 11), fence);
  const Fenced weight(floats(taps, 12), fence);
  GuardedBytes out(test::extent_of_rows(rows, stride, count) * Index{sizeof(float)}, fence);
  auto* found = reinterpret_cast<float*>(out.data());
  constexpr float kBias = -0.3125F;
  variant.kernel(
      {rows, count, taps, x.data(), stride, offsets.data(), weight.data(), kBias, found, stride});
  CHECK(out.is_intact([&](Index i) { return i / Index{sizeof(float)} % stride < count; }));
  for (Index i = 0; i < rows; ++i) {
    for (Index j = 0; j < count; ++j) {
      float sum = 0.0F;
      for (Index t = 0; t < taps; ++t) {
        const float product = weight[t] * x[offsets[static_cast<std::size_t>(t)] + i * stride + j];
        sum = sum + product;
      }
      sum = sum + kBias;
      CHECK(are_same(found + i * stride + j, &sum, 1));
    }
  }
}

TEST(every_depthwise_kernel_adds_products_in_order) {
  for (const auto& variant : kernels::float_depthwise_variants()) {
    if (!cpu_has(variant.isa)) continue;
    for (Index rows = 1; rows <= 17; ++rows) {
      for (Index count = 1; count <= 50; ++count) {
        for (const Index gap : {0, 3}) {
          test::set_context(variant.name, "rows", rows, "count", count, "gap", gap);
          for (const Fence fence : test::kFences) {
            check_depthwise(variant, rows, count, gap, fence);
          }
        }
      }
    }
  }
}

/// Weights and biases of a depthwise layer, with its geometry.
std::unique_ptr<ops::Operator> depthwise(Isa isa, Index channels, Index outs, Index stride,
                                         Index padding) {
  const ops::FloatConv2dGeometry geometry{.in_channels = channels,
                                          .out_channels = channels * outs,
                                          .groups = channels,
                                          .kernel = {3, 5},
                                          .stride = {stride, stride},
                                          .padding = {padding, padding, padding, padding},
                                          .dilation = {1, 2},
                                          .stretch = {1, 1}};
  CHECK(ops::FloatDepthwise::fits(geometry));
  return std::make_unique<ops::FloatDepthwise>(geometry, floats(channels * outs * 15, 30),
                                               floats(channels * outs, 31), isa);
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
  add("depthwise", depthwise(isa, 3, 1, 1, 2), {{2, 3, 40, 70}});
  add("depthwise with stride", depthwise(isa, 3, 2, 2, 1), {{2, 3, 41, 300}});
  add("depthwise without padding", depthwise(isa, 5, 1, 1, 0), {{1, 5, 9, 19}});
  add("transpose", std::make_unique<ops::Transpose>(std::vector<int>{2, 0, 1}, DType::kFloat32),
      {{9, 17, 20}});
  return cases;
}

std::vector<float> run_in_parts(const Case& test, const std::vector<std::vector<float>>& inputs,
                                int parts, Fence fence) {
  const Shape out = test.op->output_shape(test.inputs);
  GuardedBytes result(out.element_count() * Index{sizeof(float)}, fence);
  std::deque<Fenced<float>> arrays;
  std::vector<ops::TensorView> views;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    auto* data = reinterpret_cast<std::byte*>(arrays.emplace_back(inputs[i], fence).data());
    views.push_back(ops::dense_view(test.inputs[i], data));
  }
  const ops::Epilogue epilogue;
  test::FencedMemory memory;
  AlignedBuffer scratch = memory.buffer(test.op->scratch_bytes(test.inputs));
  for (int part = 0; part < parts; ++part) {
    test.op->run({.inputs = views,
                  .output = ops::dense_view(out, reinterpret_cast<std::byte*>(result.data())),
                  .epilogue = epilogue,
                  .scratch = scratch.data(),
                  .part = part,
                  .parts = parts,
                  .candidate = 0});
  }
  CHECK(result.is_intact([](Index) { return true; }));
  std::vector<float> values(static_cast<std::size_t>(out.element_count()));
  std::memcpy(values.data(), result.data(), values.size() * sizeof(float));
  return values;
}

TEST(float_operators_give_the_same_in_any_number_of_parts_and_at_any_level) {
  const std::vector<Case> portable = float_cases(Isa::kPortable);
  for (std::size_t i = 0; i < portable.size(); ++i) {
    std::vector<std::vector<float>> inputs;
    for (const Shape& shape : portable[i].inputs) {
      inputs.push_back(floats(shape.element_count(), 20 + inputs.size()));
    }
    const std::vector<float> expected = run_in_parts(portable[i], inputs, 1, Fence::kBehind);
    for (const Isa isa : available_isas()) {
      const Case own = std::move(float_cases(isa)[i]);
      for (const int parts : {1, 2, 3, 7}) {
        test::set_context(own.name, name_of(isa), "parts", parts);
        for (const Fence fence : test::kFences) {
          const std::vector<float> found = run_in_parts(own, inputs, parts, fence);
          CHECK(are_same(found.data(), expected.data(), static_cast<Index>(expected.size())));
        }
      }
    }
  }
}

}  // namespace
}  // namespace smidgen
