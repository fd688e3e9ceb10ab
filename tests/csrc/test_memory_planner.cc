#include <numeric>
#include <vector>

#include "base/aligned_buffer.h"
#include "check.h"
#include "engine/memory_planner.h"

namespace smidgen::engine {
namespace {

bool overlap(Index a, Index a_bytes, Index b, Index b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

void check_plan(const std::vector<Lifetime>& lifetimes) {
  const MemoryPlan plan = plan_memory(lifetimes);
  CHECK_EQUAL(plan.offsets.size(), lifetimes.size());
  for (std::size_t i = 0; i < lifetimes.size(); ++i) {
    CHECK_EQUAL(plan.offsets[i] % kAlignment, 0);
    CHECK(plan.offsets[i] >= 0);
    CHECK(plan.offsets[i] + lifetimes[i].bytes + kSlack <= plan.arena_bytes);
    for (std::size_t j = 0; j < i; ++j) {
      const bool at_once =
          lifetimes[i].first <= lifetimes[j].last && lifetimes[j].first <= lifetimes[i].last;
      CHECK(!at_once || !overlap(plan.offsets[i], lifetimes[i].bytes + kSlack, plan.offsets[j],
                                 lifetimes[j].bytes + kSlack));
    }
  }
}

TEST(no_two_live_blocks_overlap) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    test::set_context("seed", seed);
    test::Random random(seed);
    std::vector<Lifetime> lifetimes;
    for (std::int64_t i = random.between(0, 40); i > 0; --i) {
      const int first = static_cast<int>(random.between(0, 30));
      lifetimes.push_back(
          {random.between(0, 5000), first, first + static_cast<int>(random.between(0, 8))});
    }
    check_plan(lifetimes);
  }
}

TEST(a_chain_reuses_the_memory_of_tensors_that_are_done) {
  std::vector<Lifetime> chain;
  for (int step = 0; step < 20; ++step) chain.push_back({1024, step, step + 1});
  const MemoryPlan plan = plan_memory(chain);
  CHECK_EQUAL(plan.arena_bytes, 2 * round_up(1024 + kSlack, kAlignment));
}

TEST(planning_twice_gives_the_same_plan) {
  const std::vector<Lifetime> lifetimes = {{100, 0, 3}, {200, 1, 2}, {300, 2, 4}, {100, 3, 5}};
  CHECK_EQUAL(plan_memory(lifetimes).offsets, plan_memory(lifetimes).offsets);
}

}  // namespace
}  // namespace smidgen::engine
