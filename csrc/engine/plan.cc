#include "engine/plan.h"

#include <algorithm>

#include "base/error.h"
#include "engine/memory_planner.h"

namespace smidgen::engine {
namespace {

constexpr Index kWorkForThreads = 64 * 1024;  // below it, waking threads costs more than it saves

std::size_t at(int index) { return static_cast<std::size_t>(index); }

/// Infers the shape of each tensor by index.
std::vector<Shape> infer_shapes(const PreparedProgram& program, std::span<const Shape> inputs) {
  std::vector<Shape> shapes(program.tensors.size());
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    ops::expect_rank(inputs[i], program.tensors[at(program.inputs[i])].rank);
    static_cast<void>(inputs[i].element_count());
    shapes[at(program.inputs[i])] = inputs[i];
  }
  std::vector<Shape> step_shapes;
  for (const PreparedProgram::PreparedStep& step : program.steps) {
    step_shapes.clear();
    for (const int input : step.inputs) step_shapes.push_back(shapes[at(input)]);
    try {
      shapes[at(step.output)] = step.op->output_shape(step_shapes);
      static_cast<void>(shapes[at(step.output)].element_count());
    } catch (const TensorError& error) {
      throw TensorError(
          "the step that writes '" + program.tensors[at(step.output)].name + "': " + error.what(),
          error.reason());
    }
  }
  return shapes;
}

std::vector<Lifetime> lifetimes_of(const PreparedProgram& program, const std::vector<Shape>& shapes,
                                   std::span<const int> outputs) {
  std::vector<Lifetime> lifetimes;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    const DType dtype = program.tensors[i].dtype;
    lifetimes.push_back({shapes[i].element_count() * size_of(dtype), 0, 0});
  }
  const int step_count = static_cast<int>(program.steps.size());
  for (int index = 0; index < step_count; ++index) {
    const PreparedProgram::PreparedStep& step = program.steps[at(index)];
    lifetimes[at(step.output)].first = index;
    lifetimes[at(step.output)].last = index;
    for (const int input : step.inputs) lifetimes[at(input)].last = index;
  }
  for (const int output : outputs) lifetimes[at(output)].last = step_count;
  // The caller's memory serves float inputs.
  for (const int input : program.inputs) {
    if (program.tensors[at(input)].dtype == DType::kFloat32) lifetimes[at(input)].bytes = 0;
  }
  return lifetimes;
}

PlannedStep plan_step(const PreparedProgram::PreparedStep& step, const std::vector<Shape>& shapes,
                      int threads, Index& scratch_bytes) {
  std::vector<Shape> inputs;
  for (const int input : step.inputs) inputs.push_back(shapes[at(input)]);
  scratch_bytes = std::max(scratch_bytes, step.op->scratch_bytes(inputs));
  return {step.op.get(), step.inputs, std::vector<ops::TensorView>(inputs.size()), step.output,
          step.op->work(inputs) < kWorkForThreads ? 1 : threads};
}

}  // namespace

std::unique_ptr<Plan> make_plan(const PreparedProgram& program, std::span<const Shape> inputs,
                                std::span<const int> outputs, int threads) {
  const std::vector<Shape> shapes = infer_shapes(program, inputs);
  const MemoryPlan memory = plan_memory(lifetimes_of(program, shapes, outputs));

  auto plan = std::make_unique<Plan>();
  plan->input_shapes.assign(inputs.begin(), inputs.end());
  plan->outputs.assign(outputs.begin(), outputs.end());
  plan->arena = AlignedBuffer(memory.arena_bytes);
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    plan->tensors.push_back({shapes[i], plan->arena.data() + memory.offsets[i]});
  }
  for (const PreparedProgram::PreparedStep& step : program.steps) {
    plan->steps.push_back(plan_step(step, shapes, threads, plan->scratch_bytes));
  }
  plan->scratch_bytes = round_up(plan->scratch_bytes + kSlack, kAlignment);
  plan->scratch = AlignedBuffer(plan->scratch_bytes * threads);
  return plan;
}

}  // namespace smidgen::engine
