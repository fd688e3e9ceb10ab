#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "base/isa.h"
#include "base/memory_region.h"
#include "base/thread_pool.h"
#include "engine/plan.h"
#include "engine/program.h"
#include "engine/sample_loop.h"

namespace smidgen::engine {

/// Runs one program. All members may be called from several threads at once.
///
/// A run borrows a plan, which brings its memory along, so runs share nothing but the packed
/// weights and, with more than one thread, the pool, which serves them one after the other.
class Engine {
 public:
  /// Checks the program and packs its weights. With `is_tuned`, a new plan is timed to choose the
  /// fastest of each operator's candidates. Batches that do not fit `cache_bytes` run sample by
  /// sample where that saves traffic. Packing ends with the first step whose weights go beyond
  /// `most_weight_bytes` with those before. Throws ProgramError or EngineError.
  Engine(const Program& program, int threads, Isa isa, const RunLimits& limits = {},
         bool is_tuned = true, Index cache_bytes = kCacheBytes,
         Index most_weight_bytes = std::numeric_limits<Index>::max());

  int threads() const { return pool_.size(); }
  Isa isa() const { return isa_; }

  /// Takes a plan for these input shapes from the cache or makes one. `outputs` are indices of
  /// tensors to hand out. Throws TensorError if the shapes do not fit, or the run would go beyond
  /// the limits.
  std::unique_ptr<Plan> borrow_plan(std::span<const Shape> inputs, std::span<const int> outputs);

  /// As borrow_plan, from the cache alone: null if the plan is not there.
  std::unique_ptr<Plan> borrow_cached_plan(std::span<const Shape> inputs,
                                           std::span<const int> outputs);

  /// Hands a plan back; of the plans in the cache those unused for the longest give way. A plan
  /// with very much memory is not kept.
  void return_plan(std::unique_ptr<Plan> plan);

  /// Runs every step. `inputs` and `outputs` point to arrays in logical row-major order, of the
  /// plan's shapes.
  void run(Plan& plan, std::span<const std::byte* const> inputs,
           std::span<std::byte* const> outputs) noexcept;

  /// As run, unless another run has the threads: then it does nothing and returns false.
  bool run_unless_busy(Plan& plan, std::span<const std::byte* const> inputs,
                       std::span<std::byte* const> outputs) noexcept;

  /// As run, and adds the time that each of the plan's steps took, in seconds, to `seconds`.
  void profile(Plan& plan, std::span<const std::byte* const> inputs,
               std::span<std::byte* const> outputs, std::span<double> seconds) noexcept;

  /// The tensors that runs take.
  std::span<const int> inputs() const { return program_.inputs; }
  DType dtype_of(int tensor) const;
  std::size_t tensor_count() const { return program_.tensors.size(); }
  std::size_t cached_plan_count();

  /// Bytes of packed weights and cached plans; plans that runs have borrowed are not among them.
  Index memory_bytes();

  /// Bytes of packed weights that share_weights shares.
  Index shareable_bytes() const { return weights_.used_bytes(); }

  /// Keeps the packed weights in common with engines of other processes that have packed the same
  /// bytes, by a file in memory as share_memory wants it. Not to be called twice at a time.
  Sharing share_weights(int file) noexcept { return weights_.share(file); }

  /// Gives the memory of cached plans back; later runs make theirs anew.
  void drop_plans();

 private:
  /// Waits for the threads, and has them until the lock goes. One thread alone needs none.
  std::unique_lock<std::mutex> lock_pool() noexcept;
  /// Runs all steps; the caller has the threads. Calls `after_step` with the index of each step
  /// that is done.
  /// Samples that run one by one come in up to `lane_parts` parts for each thread. Of those it is
  /// called after the steps of the first part alone: with one for each thread the others take about
  /// as long.
  template <typename AfterStep>
  void run_steps(Plan& plan, int lane_parts, const AfterStep& after_step) noexcept;
  template <typename AfterStep>
  void run_lanes(Plan& plan, int lane_parts, const AfterStep& after_step) noexcept;
  template <typename RunStep>
  static void run_lane(Lane& lane, Range samples, const RunStep& run_step) noexcept;
  void run_step(const PlannedStep& step, Plan& plan) noexcept;
  /// Runs one part of a step, on a thread with temporary memory of its own.
  static void run_part(const PlannedStep& step, Plan& plan, int part, int thread) noexcept;
  void time_steps(Plan& plan, std::span<double> seconds) noexcept;
  void tune_plan(Plan& plan);
  void take_inputs(Plan& plan, std::span<const std::byte* const> inputs) const noexcept;
  void hand_out(const Plan& plan, std::span<std::byte* const> outputs) const noexcept;

  Index cached_bytes() const;  // of cached plans; under plans_mutex_

  MemoryRegion weights_;  // what the operators of program_ have packed
  PreparedProgram program_;
  Isa isa_;
  RunLimits limits_;
  bool is_tuned_;
  Index cache_bytes_;
  ThreadPool pool_;
  std::mutex pool_mutex_;
  std::mutex plans_mutex_;
  std::vector<std::unique_ptr<Plan>> plans_;  // most recently used last
};

}  // namespace smidgen::engine
