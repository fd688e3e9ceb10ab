#include "engine/engine.h"

#include <algorithm>

#include "base/error.h"
#include "engine/prepare.h"
#include "ops/layout.h"

namespace smidgen::engine {
namespace {

constexpr std::size_t kCachedPlans = 8;
constexpr Index kCachedPlanBytes = Index{256} << 20;  // of all cached plans together
constexpr int kMostThreads = 256;

int checked_threads(int threads) {
  if (threads >= 1 && threads <= kMostThreads) return threads;
  throw EngineError(
      "threads is " + std::to_string(threads) + ", expected 1 to " + std::to_string(kMostThreads),
      "THREADS_OUT_OF_RANGE");
}

PreparedProgram prepare_all(const Program& program, Isa isa) {
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
  }
  return prepared;
}

bool serves_request(const Plan& plan, std::span<const Shape> inputs, std::span<const int> outputs) {
  return std::ranges::equal(plan.input_shapes, inputs) && std::ranges::equal(plan.outputs, outputs);
}

}  // namespace

Engine::Engine(const Program& program, int threads, Isa isa, const RunLimits& limits)
    : program_(prepare_all(program, isa)),
      isa_(isa),
      limits_(limits),
      pool_(checked_threads(threads)) {
  plans_.reserve(kCachedPlans + 1);
}

std::unique_ptr<Plan> Engine::borrow_plan(std::span<const Shape> inputs,
                                          std::span<const int> outputs) {
  {
    const std::lock_guard lock(plans_mutex_);
    const auto found = std::ranges::find_if(
        plans_, [&](const auto& plan) { return serves_request(*plan, inputs, outputs); });
    if (found != plans_.end()) {
      std::unique_ptr<Plan> plan = std::move(*found);
      plans_.erase(found);
      return plan;
    }
  }
  return make_plan(program_, inputs, outputs, threads(), limits_);
}

void Engine::return_plan(std::unique_ptr<Plan> plan) {
  std::vector<std::unique_ptr<Plan>> evicted;  // released after the lock
  const std::lock_guard lock(plans_mutex_);
  plans_.push_back(std::move(plan));
  Index bytes = 0;
  for (const auto& cached : plans_) bytes += cached->bytes();
  while (plans_.size() > kCachedPlans || (bytes > kCachedPlanBytes && !plans_.empty())) {
    bytes -= plans_.front()->bytes();
    evicted.push_back(std::move(plans_.front()));
    plans_.erase(plans_.begin());
  }
}

void Engine::run(Plan& plan, std::span<const std::byte* const> inputs,
                 std::span<std::byte* const> outputs) noexcept {
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const int input = program_.inputs[i];
    ops::TensorView& tensor = plan.tensors[static_cast<std::size_t>(input)];
    if (dtype_of(input) == DType::kFloat32) {
      // Steps only read their inputs, so the caller's array can serve as it is.
      tensor.data = const_cast<std::byte*>(inputs[i]);
    } else {
      ops::from_logical(inputs[i], dtype_of(input), tensor);
    }
  }
  if (threads() == 1) {
    for (PlannedStep& step : plan.steps) run_step(step, plan);
  } else {
    const std::lock_guard lock(pool_mutex_);
    pool_.begin();
    for (PlannedStep& step : plan.steps) run_step(step, plan);
    pool_.end();
  }
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const int output = plan.outputs[i];
    ops::to_logical(plan.tensors[static_cast<std::size_t>(output)], dtype_of(output), outputs[i]);
  }
}

void Engine::run_step(PlannedStep& step, Plan& plan) noexcept {
  for (std::size_t i = 0; i < step.inputs.size(); ++i) {
    step.views[i] = plan.tensors[static_cast<std::size_t>(step.inputs[i])];
  }
  const ops::TensorView& output = plan.tensors[static_cast<std::size_t>(step.output)];
  const auto task = [&](int thread) {
    step.op->run({.inputs = step.views,
                  .output = output,
                  .epilogue = step.epilogue,
                  .scratch = plan.scratch.data() + plan.scratch_bytes * thread,
                  .thread = thread,
                  .threads = step.threads,
                  .candidate = step.candidate});
  };
  if (step.threads == 1) {
    task(0);
  } else {
    pool_.run(task);
  }
}

DType Engine::dtype_of(int tensor) const {
  return program_.tensors[static_cast<std::size_t>(tensor)].dtype;
}

std::size_t Engine::cached_plan_count() {
  const std::lock_guard lock(plans_mutex_);
  return plans_.size();
}

}  // namespace smidgen::engine
