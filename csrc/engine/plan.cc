#include "engine/plan.h"

#include <algorithm>
#include <string>

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

void expect_within(Index found, Index most, const std::string& what) {
  if (found <= most) return;
  throw TensorError("a run on these inputs takes " + std::to_string(found) + " " + what +
                        ", at most " + std::to_string(most) +
                        " are allowed; send fewer or smaller samples at a time",
                    "INFERENCE_TOO_LARGE");
}

/// Adds up the work of all steps. Tensors have at most 2^40 elements, steps of such tensors more
/// operations than an Index holds.
Index work_of(const PreparedProgram& program, const std::vector<Shape>& shapes) {
  Index work = 0;
  std::vector<Shape> inputs;
  for (const PreparedProgram::PreparedStep& step : program.steps) {
    inputs.clear();
    for (const int input : step.inputs) inputs.push_back(shapes[at(input)]);
    work = saturating_sum(work, step.op->work(inputs));
  }
  return work;
}

/// The temporary memory of one thread.
Index scratch_of(const PreparedProgram& program, const std::vector<Shape>& shapes) {
  Index bytes = 0;
  std::vector<Shape> inputs;
  for (const PreparedProgram::PreparedStep& step : program.steps) {
    inputs.clear();
    for (const int input : step.inputs) inputs.push_back(shapes[at(input)]);
    bytes = std::max(bytes, step.op->scratch_bytes(inputs));
  }
  return bytes;
}

PlannedStep plan_step(const PreparedProgram::PreparedStep& step, const std::vector<Shape>& shapes,
                      int threads) {
  std::vector<Shape> inputs;
  for (const int input : step.inputs) inputs.push_back(shapes[at(input)]);
  return {.op = step.op.get(),
          .inputs = step.inputs,
          .views = std::vector<ops::TensorView>(inputs.size()),
          .output = step.output,
          .threads = step.op->work(inputs) < kWorkForThreads ? 1 : threads,
          .epilogue = {}};
}

}  // namespace

std::unique_ptr<Plan> make_plan(const PreparedProgram& program, std::span<const Shape> inputs,
                                std::span<const int> outputs, int threads,
                                const RunLimits& limits) {
  const std::vector<Shape> shapes = infer_shapes(program, inputs);
  expect_within(work_of(program, shapes), limits.work, "operations");
  const MemoryPlan memory = plan_memory(lifetimes_of(program, shapes, outputs));
  const Index scratch = scratch_of(program, shapes);
  expect_within(saturating_sum(memory.arena_bytes, saturating_product(scratch, threads)),
                limits.bytes, "bytes of memory");

  auto plan = std::make_unique<Plan>();
  plan->input_shapes.assign(inputs.begin(), inputs.end());
  plan->outputs.assign(outputs.begin(), outputs.end());
  plan->arena = AlignedBuffer(memory.arena_bytes);
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    plan->tensors.push_back(ops::dense_view(shapes[i], plan->arena.data() + memory.offsets[i]));
  }
  for (const PreparedProgram::PreparedStep& step : program.steps) {
    plan->steps.push_back(plan_step(step, shapes, threads));
  }
  plan->scratch_bytes = round_up(scratch + kSlack, kAlignment);
  plan->scratch = AlignedBuffer(plan->scratch_bytes * threads);
  return plan;
}

}  // namespace smidgen::engine
