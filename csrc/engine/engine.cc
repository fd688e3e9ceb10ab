#include "engine/engine.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/free_heap.h"
#include "base/partition.h"
#include "base/subnormals.h"
#include "base/thread_count.h"
#include "engine/prepare.h"
#include "engine/tensor_layout.h"
#include "engine/tuning.h"
#include "ops/layout.h"

namespace smidgen::engine {
namespace {

constexpr std::size_t kCachedPlans = 8;
constexpr Index kCachedPlanBytes = Index{256} << 20;  // of all cached plans together
constexpr int kMostThreads = 256;
constexpr int kPartsOfLane = 8;  // the most: each of a sample or more

static_assert(kMostThreads * kPartsOfLane <= ThreadPool::kMostParts);

/// Room for all constants with their padding. What some layers need beyond comes from the heap.
Index bytes_to_pack(const Program& program) {
  std::size_t bytes = 0;
  for (const Constant& constant : program.constants) bytes += 2 * constant.bytes.size() + kSlack;
  return static_cast<Index>(bytes);
}

/// Each step packs weights of its own, also of a constant that thousands of steps share.
void check_packed(const MemoryRegion& weights, Index most_bytes) {
  if (weights.wanted_bytes() <= most_bytes) return;
  throw EngineError("the packed weights take more than " + std::to_string(most_bytes) + " bytes",
                    "ENGINE_TOO_LARGE");
}

PreparedProgram prepare_all(const Program& program, Isa isa, MemoryRegion& weights,
                            Index most_weight_bytes) {
  const MemoryRegion::Scope scope(weights);
  check_program(program);
  PreparedProgram prepared{program.tensors, {}, program.inputs, program.outputs};
  for (const Step& step : program.steps) {
    try {
      prepared.steps.push_back({prepare(program, step, isa), step_inputs(step), step_output(step)});
    } catch (const ProgramError& error) {
      const TensorInfo& output = program.tensors[static_cast<std::size_t>(step_output(step))];
      throw ProgramError("the step that writes '" + output.name + "': " + error.what(),
                         error.reason());
    }
    check_packed(weights, most_weight_bytes);
  }
  return prepared;
}

bool serves_request(const Plan& plan, std::span<const Shape> inputs, std::span<const int> outputs) {
  return std::ranges::equal(plan.input_shapes, inputs) && std::ranges::equal(plan.outputs, outputs);
}

}  // namespace

Engine::Engine(const Program& program, int threads, Isa isa, const RunLimits& limits, bool is_tuned,
               Index cache_bytes, Index most_weight_bytes)
    : weights_(bytes_to_pack(program)),
      program_(prepare_all(program, isa, weights_, most_weight_bytes)),
      isa_(isa),
      limits_(limits),
      is_tuned_(is_tuned),
      cache_bytes_(cache_bytes),
      pool_(checked_thread_count(threads, kMostThreads)) {
  plans_.reserve(kCachedPlans + 1);
}

std::unique_ptr<Plan> Engine::borrow_cached_plan(std::span<const Shape> inputs,
                                                 std::span<const int> outputs) {
  const std::lock_guard lock(plans_mutex_);
  const auto found = std::ranges::find_if(
      plans_, [&](const auto& plan) { return serves_request(*plan, inputs, outputs); });
  if (found == plans_.end()) return nullptr;
  std::unique_ptr<Plan> plan = std::move(*found);
  plans_.erase(found);
  return plan;
}

std::unique_ptr<Plan> Engine::borrow_plan(std::span<const Shape> inputs,
                                          std::span<const int> outputs) {
  if (std::unique_ptr<Plan> cached = borrow_cached_plan(inputs, outputs)) return cached;
  return_free_heap();  // by now, callers have let go of the program
  std::unique_ptr<Plan> plan =
      make_plan(program_, inputs, outputs, threads(), limits_, cache_bytes_);
  if (is_tuned_) tune_plan(*plan);
  return plan;
}

void Engine::return_plan(std::unique_ptr<Plan> plan) {
  std::vector<std::unique_ptr<Plan>> evicted;  // released after the lock
  const std::lock_guard lock(plans_mutex_);
  plans_.push_back(std::move(plan));
  Index bytes = cached_bytes();
  while (plans_.size() > kCachedPlans || (bytes > kCachedPlanBytes && !plans_.empty())) {
    bytes -= plans_.front()->bytes();
    evicted.push_back(std::move(plans_.front()));
    plans_.erase(plans_.begin());
  }
}

void Engine::run(Plan& plan, std::span<const std::byte* const> inputs,
                 std::span<std::byte* const> outputs) noexcept {
  take_inputs(plan, inputs);
  {
    const std::unique_lock pool = lock_pool();
    run_steps(plan, kPartsOfLane, [](std::size_t) {});
  }
  hand_out(plan, outputs);
}

bool Engine::run_unless_busy(Plan& plan, std::span<const std::byte* const> inputs,
                             std::span<std::byte* const> outputs) noexcept {
  std::unique_lock<std::mutex> pool;
  if (threads() > 1) {
    pool = std::unique_lock(pool_mutex_, std::try_to_lock);
    if (!pool.owns_lock()) return false;
  }
  take_inputs(plan, inputs);
  run_steps(plan, kPartsOfLane, [](std::size_t) {});
  hand_out(plan, outputs);
  return true;
}

std::unique_lock<std::mutex> Engine::lock_pool() noexcept {
  return threads() > 1 ? std::unique_lock(pool_mutex_) : std::unique_lock<std::mutex>();
}

void Engine::profile(Plan& plan, std::span<const std::byte* const> inputs,
                     std::span<std::byte* const> outputs, std::span<double> seconds) noexcept {
  take_inputs(plan, inputs);
  time_steps(plan, seconds);
  hand_out(plan, outputs);
}

void Engine::time_steps(Plan& plan, std::span<double> seconds) noexcept {
  using Clock = std::chrono::steady_clock;
  const std::unique_lock pool = lock_pool();
  Clock::time_point last = Clock::now();
  run_steps(plan, 1, [&](std::size_t step) {
    const Clock::time_point now = Clock::now();
    seconds[step] += std::chrono::duration<double>(now - last).count();
    last = now;
  });
}

void Engine::tune_plan(Plan& plan) {
  std::vector<AlignedBuffer> zeros;
  std::vector<const std::byte*> inputs;
  for (const int input : program_.inputs) {
    const Shape& shape = plan.tensors[static_cast<std::size_t>(input)].shape;
    inputs.push_back(zeros.emplace_back(shape.element_count() * size_of(dtype_of(input))).data());
  }
  take_inputs(plan, inputs);
  tune(plan, isa_, process_choices(), [&](std::span<double> seconds) {
    plan.pass_candidates_on();
    time_steps(plan, seconds);
  });
  plan.pass_candidates_on();
}

void Engine::take_inputs(Plan& plan, std::span<const std::byte* const> inputs) const noexcept {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const TensorInfo& info = program_.tensors[static_cast<std::size_t>(program_.inputs[i])];
    if (info.dtype == DType::kFloat32) {
      for (const Borrower& borrower : plan.borrowers[i]) {
        // Steps only read their inputs, so the caller's array can serve as it is.
        borrower.view->data = const_cast<std::byte*>(inputs[i]) + borrower.offset;
      }
      continue;
    }
    const ops::TensorView& tensor = plan.tensors[static_cast<std::size_t>(program_.inputs[i])];
    if (tensor.border != ops::Border{}) {
      fill_border(tensor, static_cast<std::uint8_t>(info.quantization.zero_point), 0, 1);
    }
    ops::from_logical(inputs[i], info.dtype, tensor, isa_);
  }
}

void Engine::hand_out(const Plan& plan, std::span<std::byte* const> outputs) const noexcept {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const int output = plan.outputs[i];
    ops::to_logical(plan.tensors[static_cast<std::size_t>(output)], dtype_of(output), outputs[i],
                    isa_);
  }
}

// Float steps keep numbers below 2^-126 (docs/arithmetic.md), so a scope that sets the
// floating-point mode around these steps, in this thread and the workers, must clear flush-to-zero
// and denormals-are-zero, which a caller may have set; it must never set them.
template <typename AfterStep>
void Engine::run_steps(Plan& plan, int lane_parts, const AfterStep& after_step) noexcept {
  const FlushSubnormals scope(plan.ignores_subnormals);
  if (threads() > 1) pool_.begin();
  run_lanes(plan, lane_parts, after_step);
  for (std::size_t step = plan.looped_steps; step < plan.steps.size(); ++step) {
    run_step(plan.steps[step], plan);
    after_step(step);
  }
  if (threads() > 1) pool_.end();
}

template <typename AfterStep>
void Engine::run_lanes(Plan& plan, int lane_parts, const AfterStep& after_step) noexcept {
  for (const SharedBorder& border : plan.shared_borders) {
    fill_border(border.tensor, border.value, 0, 1);
  }
  if (plan.lanes.size() == 1) {
    run_lane(plan.lanes[0], {0, plan.samples}, [&](std::size_t step) {
      run_step(plan.lanes[0].steps[step], plan);
      after_step(step);
    });
  } else if (!plan.lanes.empty()) {
    const auto parts = static_cast<int>(std::min(plan.samples, Index{lane_parts} * threads()));
    pool_.run(parts, [&](int part, int thread) {
      const FlushSubnormals scope(plan.ignores_subnormals);
      Lane& lane = plan.lanes[static_cast<std::size_t>(thread)];
      run_lane(lane, partition(plan.samples, 1, part, parts), [&](std::size_t step) {
        run_part(lane.steps[step], plan, 0, thread);
        if (part == 0) after_step(step);
      });
    });
  }
}

/// Calls run_step(i) for all steps of a lane, for each of some samples.
template <typename RunStep>
void Engine::run_lane(Lane& lane, Range samples, const RunStep& run_step) noexcept {
  const auto move = [&](Index by) {
    for (const MovingView& moving : lane.moving_views) moving.view->data += by * moving.step;
  };
  move(samples.begin);
  for (Index sample = samples.begin; sample < samples.end; ++sample) {
    for (std::size_t step = 0; step < lane.steps.size(); ++step) run_step(step);
    move(1);
  }
  move(-samples.end);
}

void Engine::run_step(const PlannedStep& step, Plan& plan) noexcept {
  if (step.parts == 1) return run_part(step, plan, 0, 0);
  pool_.run(step.parts, [&](int part, int thread) {
    const FlushSubnormals scope(plan.ignores_subnormals);
    run_part(step, plan, part, thread);
  });
}

void Engine::run_part(const PlannedStep& step, Plan& plan, int part, int thread) noexcept {
  if (step.bordered.data != nullptr) {
    fill_border(step.bordered, step.border_value, part, step.parts);
  }
  step.op->run({.inputs = step.views,
                .output = step.output_view,
                .epilogue = step.epilogue,
                .scratch = plan.scratch.data() + plan.scratch_bytes * thread,
                .part = part,
                .parts = step.parts,
                .candidate = step.candidate});
}

DType Engine::dtype_of(int tensor) const {
  return program_.tensors[static_cast<std::size_t>(tensor)].dtype;
}

std::size_t Engine::cached_plan_count() {
  const std::lock_guard lock(plans_mutex_);
  return plans_.size();
}

Index Engine::cached_bytes() const {
  Index bytes = 0;
  for (const auto& cached : plans_) bytes += cached->bytes();
  return bytes;
}

Index Engine::memory_bytes() {
  const std::lock_guard lock(plans_mutex_);
  return weights_.wanted_bytes() + cached_bytes();
}

void Engine::drop_plans() {
  std::vector<std::unique_ptr<Plan>> dropped;  // released after the lock
  dropped.reserve(kCachedPlans + 1);           // which plans_ keeps, for return_plan
  const std::lock_guard lock(plans_mutex_);
  dropped.swap(plans_);
}

}  // namespace smidgen::engine
