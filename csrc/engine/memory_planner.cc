#include "engine/memory_planner.h"

#include <algorithm>
#include <numeric>

#include "base/aligned_buffer.h"

namespace smidgen::engine {
namespace {

struct Block {
  Index begin;
  Index end;
};

bool overlap_in_time(const Lifetime& a, const Lifetime& b) {
  return a.first <= b.last && b.first <= a.last;
}

/// The start of the smallest gap between sorted blocks that holds `bytes`, or the end of the last
/// one.
Index tightest_gap(std::span<const Block> blocks, Index bytes) {
  Index best = -1;
  Index best_size = 0;
  Index end = 0;
  for (const Block& block : blocks) {
    const Index gap = block.begin - end;
    if (gap >= bytes && (best < 0 || gap < best_size)) {
      best = end;
      best_size = gap;
    }
    end = std::max(end, block.end);
  }
  return best < 0 ? end : best;
}

}  // namespace

MemoryPlan plan_memory(std::span<const Lifetime> lifetimes) {
  std::vector<std::size_t> order(lifetimes.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(
      order, [&](std::size_t a, std::size_t b) { return lifetimes[a].bytes > lifetimes[b].bytes; });

  MemoryPlan plan{std::vector<Index>(lifetimes.size()), 0};
  std::vector<std::size_t> placed;
  std::vector<Block> blocks;
  const auto size_of_block = [&](std::size_t i) {
    return round_up(lifetimes[i].bytes + kSlack, kAlignment);
  };
  for (const std::size_t i : order) {
    blocks.clear();
    for (const std::size_t other : placed) {
      if (!overlap_in_time(lifetimes[i], lifetimes[other])) continue;
      blocks.push_back({plan.offsets[other], plan.offsets[other] + size_of_block(other)});
    }
    std::ranges::sort(blocks, {}, &Block::begin);
    plan.offsets[i] = tightest_gap(blocks, size_of_block(i));
    plan.arena_bytes = std::max(plan.arena_bytes, plan.offsets[i] + size_of_block(i));
    placed.push_back(i);
  }
  return plan;
}

}  // namespace smidgen::engine
