#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "check.h"
#include "guarded.h"
#include "kernels/attention/pack.h"
#include "kernels/attention/reference.h"
#include "kernels/attention/registry.h"

namespace smidgen::kernels {
namespace {

using test::Fence;
using test::Fenced;

enum class Data : std::uint8_t { kRandom, kLargest };

enum class Mask : std::uint8_t { kNone, kShared, kRows, kOdd };

struct Problem {
  Index queries;
  Index tokens;
  Index features;
  std::int32_t query_zero_point;
  std::int32_t value_zero_point;
  float score_multiplier;
  Mask mask;
  OutputRange range;
  Data data = Data::kRandom;
};

/// Some masked tokens, a row without any, and numbers that no sane mask has.
std::vector<float> make_mask(const Problem& problem, test::Random& random) {
  const Index rows = problem.mask == Mask::kShared ? 1 : problem.queries;
  std::vector<float> mask(static_cast<std::size_t>(rows * problem.tokens));
  const std::array<float, 5> odd = {std::numeric_limits<float>::infinity(),
                                    -std::numeric_limits<float>::infinity(),
                                    std::numeric_limits<float>::quiet_NaN(), 3e38F, -0.0F};
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (random.between(0, 3) == 0) mask[i] = std::numeric_limits<float>::lowest();
    if (problem.mask == Mask::kOdd && random.between(0, 2) == 0) {
      mask[i] = odd[static_cast<std::size_t>(random.between(0, 4))];
    }
    if (static_cast<Index>(i) < problem.tokens && rows > 1) mask[i] = -1e30F;
  }
  return mask;
}

/// The arrays of one head, each against a fence.
struct Arrays {
  Index stride;
  Fenced<std::uint8_t> q;
  Fenced<std::uint8_t> k;
  Fenced<std::uint8_t> v;
  Fenced<float> mask;

  Arrays(const Problem& problem, test::Random random, Fence fence)
      : stride(problem.features + 5),
        q(values(problem, problem.queries, random), fence,
          round_up(problem.features, 4) - problem.features),
        k(values(problem, problem.tokens, random), fence),
        v(values(problem, problem.tokens, random), fence),
        mask(make_mask(problem, random), fence) {}

  std::vector<std::uint8_t> values(const Problem& problem, Index rows, test::Random& random) const {
    const int low = problem.data == Data::kLargest ? 255 : 0;
    return random.values<std::uint8_t>(test::extent_of_rows(rows, stride, problem.features), low,
                                       255);
  }

  HeadView view(const Fenced<std::uint8_t>& array, Index rows, const Problem& problem) const {
    return {array.data(), stride, rows, problem.features};
  }

  /// The mask's row, null for none, and the numbers between rows.
  std::pair<const float*, Index> mask_row(const Problem& problem, Index row) const {
    const Index mask_stride = problem.mask == Mask::kShared ? 0 : problem.tokens;
    if (problem.mask == Mask::kNone) return {nullptr, mask_stride};
    return {mask.data() + row * mask_stride, mask_stride};
  }
};

std::vector<std::uint8_t> expected_rows(const Problem& problem, const Arrays& arrays) {
  const auto [mask, mask_stride] = arrays.mask_row(problem, 0);
  return attention_reference({arrays.view(arrays.q, problem.queries, problem),
                              arrays.view(arrays.k, problem.tokens, problem),
                              arrays.view(arrays.v, problem.tokens, problem),
                              problem.query_zero_point, problem.value_zero_point,
                              problem.score_multiplier, 0.7F, mask, mask_stride, problem.range});
}

void check_run(const AttentionVariant& variant, const Problem& problem, const Arrays& arrays,
               Fence fence) {
  const Index pitch = round_up(problem.tokens, kAttentionTokens);
  test::FencedMemory memory;
  AlignedBuffer packed_keys = memory.buffer(packed_keys_bytes(problem.tokens, problem.features), 0);
  AlignedBuffer terms = memory.buffer(pitch * 4, 0);
  AlignedBuffer packed_values =
      memory.buffer(packed_values_bytes(problem.tokens, problem.features), 0);
  AlignedBuffer scores = memory.buffer(kAttentionRows * pitch * 4, 0);
  AlignedBuffer weights = memory.buffer(kAttentionRows * pitch, 0);
  variant.pack_keys(arrays.view(arrays.k, problem.tokens, problem), problem.query_zero_point,
                    packed_keys.as<std::int8_t>(), terms.as<std::int32_t>());
  variant.pack_values(arrays.view(arrays.v, problem.tokens, problem),
                      packed_values.as<std::int8_t>());
  const Index stride = arrays.stride;
  test::GuardedBytes out(test::extent_of_rows(problem.queries, stride, problem.features), fence);
  const auto [mask, mask_stride] = arrays.mask_row(problem, 0);
  variant.kernel({.rows = problem.queries,
                  .keys = problem.tokens,
                  .depth_groups = ceil_div(problem.features, 4),
                  .values = problem.features,
                  .queries = arrays.q.data(),
                  .query_stride = stride,
                  .packed_keys = packed_keys.as<std::int8_t>(),
                  .key_terms = terms.as<std::int32_t>(),
                  .packed_values = packed_values.as<std::int8_t>(),
                  .value_term = 128 - problem.value_zero_point,
                  .score_multiplier = problem.score_multiplier,
                  .value_multiplier = 0.7F,
                  .mask = mask,
                  .mask_stride = mask_stride,
                  .scores = scores.as<float>(),
                  .weights = weights.as<std::uint8_t>(),
                  .out = out.data(),
                  .out_stride = stride,
                  .range = problem.range});
  CHECK(out.is_intact([&](Index i) { return i % stride < problem.features; }));
  const std::vector<std::uint8_t> expected = expected_rows(problem, arrays);
  for (Index i = 0; i < problem.queries; ++i) {
    for (Index d = 0; d < problem.features; ++d) {
      CHECK_EQUAL(out[i * stride + d],
                  expected[static_cast<std::size_t>(i * problem.features + d)]);
    }
  }
}

void check_problem(const AttentionVariant& variant, const Problem& problem, test::Random& random) {
  test::set_context(variant.name, "queries", problem.queries, "tokens", problem.tokens, "features",
                    problem.features, "mask", static_cast<int>(problem.mask));
  const auto seed = static_cast<std::uint64_t>(random.between(0, 1000000));
  for (const Fence fence : test::kFences) {
    check_run(variant, problem, Arrays(problem, test::Random(seed), fence), fence);
  }
}

constexpr std::array<OutputRange, 5> kRanges = {
    OutputRange{-128, 127, 128}, OutputRange{0, 255, 0}, OutputRange{-1, 254, 1},
    OutputRange{-127, 128, 127}, OutputRange{-255, 0, 255}};
constexpr std::array<std::int32_t, 5> kZeroPoints = {0, 1, 127, 128, 255};
// Flat weights, the usual size, one token alone.
constexpr std::array<float, 3> kMultipliers = {3e-4F, 0.6F, 1500.0F};
constexpr std::array<Mask, 4> kMasks = {Mask::kNone, Mask::kShared, Mask::kRows, Mask::kOdd};

TEST(every_attention_kernel_equals_the_reference_for_all_extents) {
  for (const AttentionVariant& variant : attention_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(1);
    std::size_t turn = 0;
    for (Index tokens = 1; tokens <= 67; ++tokens) {
      for (const Index features : {1, 2, 3, 4, 5, 8, 15, 16, 17, 31, 32, 33, 64, 80}) {
        ++turn;
        check_problem(variant,
                      {static_cast<Index>(1 + turn % 43), tokens, features, kZeroPoints[turn % 5],
                       kZeroPoints[turn / 5 % 5], kMultipliers[turn % 3], kMasks[turn % 4],
                       kRanges[turn / 3 % 5]},
                      random);
      }
    }
  }
}

TEST(every_attention_kernel_adds_extreme_products_exactly) {
  for (const AttentionVariant& variant : attention_variants()) {
    if (!cpu_has(variant.isa)) continue;
    test::Random random(2);
    for (const std::int32_t zero_point : kZeroPoints) {
      check_problem(
          variant,
          {9, 700, 128, zero_point, zero_point, 3e-3F, Mask::kNone, kRanges[0], Data::kLargest},
          random);
    }
  }
}

}  // namespace
}  // namespace smidgen::kernels
