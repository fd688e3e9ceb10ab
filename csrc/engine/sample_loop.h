#pragma once

#include <span>
#include <vector>

#include "engine/fusion.h"
#include "engine/placement.h"

namespace smidgen::engine {

/// Bytes that surely stay in the second-level cache from one step to the next.
inline constexpr Index kCacheBytes = 1024 * 1024;

/// The first steps of a plan, where they run sample by sample, all of them for each, before the
/// others run for the whole batch: what they hand on stays in the cache, while a whole batch of it
/// would not.
struct SampleLoop {
  int steps = 0;
  Index samples = 1;
  std::vector<bool> is_single;  // blocks that hold one sample, since only these steps use them

  bool contains(int step) const { return step < steps; }
};

/// Decides which steps these are. They end where a batch does not fill the cache any more, or where
/// weights are so much that each sample had better not read them anew.
SampleLoop choose_sample_loop(const PreparedProgram& program, const Placement& placement,
                              std::span<const FusedStep> steps, std::span<const int> outputs,
                              Index cache_bytes);

/// How many of the loops run at the same time, each for some of the samples: one for each thread
/// if all of them get about as many samples, else one, whose steps the threads share.
int lane_count(const SampleLoop& loop, int threads);

/// Shrinks the blocks that hold one sample, and all tensors in them.
void shrink_to_sample(const PreparedProgram& program, const SampleLoop& loop, Placement& placement);

}  // namespace smidgen::engine
