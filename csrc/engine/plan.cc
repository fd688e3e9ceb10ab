#include "engine/plan.h"

#include <algorithm>
#include <string>

#include "base/error.h"
#include "engine/fusion.h"
#include "engine/memory_planner.h"
#include "engine/placement.h"
#include "engine/sample_loop.h"

namespace smidgen::engine {
namespace {

constexpr Index kWorkForThreads = 64 * 1024;  // below it, waking threads costs more than it saves
constexpr Index kWorkOfPart = 1024 * 1024;    // beside which cutting costs nothing
constexpr Index kMostPartsOfThread = 4;

/// How many parts threads share a step in: with several of their own, who has done them can take
/// over some from threads that are slower, as those are whose core others use.
int part_count(Index work, int threads) {
  if (threads == 1 || work < kWorkForThreads) return 1;
  const Index parts = work / kWorkOfPart / threads;
  return threads * static_cast<int>(std::clamp(parts, Index{1}, kMostPartsOfThread));
}

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

/// The memory of all blocks. Tensors without a block of their own, constants, and float inputs, for
/// which the caller's memory serves, have none.
std::vector<Lifetime> lifetimes_of(const PreparedProgram& program, const Placement& placement,
                                   std::span<const FusedStep> steps, std::span<const int> outputs,
                                   const SampleLoop& loop) {
  const int step_count = static_cast<int>(steps.size());
  std::vector<Lifetime> blocks(placement.homes.size(), {0, step_count, 0});
  const auto use = [&](int tensor, int step) {
    Lifetime& block = blocks[at(placement.homes[at(tensor)].block)];
    block.first = std::min(block.first, step);
    block.last = std::max(block.last, step);
  };
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (placement.homes[i].kind == Home::Kind::kBlock && placement.constants[i] == nullptr) {
      blocks[i].bytes = placement.layouts[i].bytes;
    }
  }
  for (int index = 0; index < step_count; ++index) {
    use(steps[at(index)].written(), index);
    if (steps[at(index)].quantized >= 0) use(steps[at(index)].quantized, index);
    for (const int tensor : steps[at(index)].reads()) use(tensor, index);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    if (loop.is_single[i] || !loop.contains(blocks[i].first)) continue;
    // While other samples run it keeps what some have written, or what some are still to read.
    blocks[i].first = 0;
    blocks[i].last = std::max(blocks[i].last, loop.steps - 1);
  }
  for (const int output : outputs) use(output, step_count);
  for (const int input : program.inputs) {
    use(input, 0);
    if (program.tensors[at(input)].dtype == DType::kFloat32) blocks[at(input)].bytes = 0;
  }
  return blocks;
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

class Planner {
 public:
  Planner(const PreparedProgram& program, std::span<const Shape> inputs,
          std::span<const int> outputs)
      : program_(program), plan_(std::make_unique<Plan>()) {
    plan_->input_shapes.assign(inputs.begin(), inputs.end());
    plan_->outputs.assign(outputs.begin(), outputs.end());
  }

  std::unique_ptr<Plan> run(int threads, const RunLimits& limits, Index cache_bytes) {
    std::vector<Shape> shapes = infer_shapes(program_, plan_->input_shapes);
    expect_within(work_of(program_, shapes), limits.work, "operations");
    const Index scratch = scratch_of(program_, shapes);
    steps_ = fuse(program_, shapes, plan_->outputs);
    placement_ = place(program_, std::move(shapes), steps_, plan_->outputs);
    loop_ = choose_sample_loop(program_, placement_, steps_, plan_->outputs, cache_bytes);
    lanes_ = lane_count(loop_, threads);
    shrink_to_sample(program_, loop_, placement_);
    lay_memory_out(threads, scratch, limits);
    for (const FusedStep& step : steps_) plan_step(step, threads);
    plan_->ignores_subnormals = std::ranges::all_of(
        steps_, [](const FusedStep& step) { return step.op->ignores_subnormals(); });
    fill_borders();
    make_lanes();
    lend_inputs();
    plan_->homes = std::move(placement_.homes);
    return std::move(plan_);
  }

 private:
  void lay_memory_out(int threads, Index scratch, const RunLimits& limits) {
    const MemoryPlan memory = plan_blocks();
    expect_within(saturating_sum(memory.arena_bytes, saturating_product(scratch, threads)),
                  limits.bytes, "bytes of memory");
    plan_->arena = AlignedBuffer(memory.arena_bytes);
    for (std::size_t i = 0; i < placement_.homes.size(); ++i) {
      const std::size_t block = at(placement_.homes[i].block);
      std::byte* constant = placement_.constants[block];
      plan_->tensors.push_back(placement_.view(
          static_cast<int>(i),
          constant != nullptr ? constant : plan_->arena.data() + memory.offsets[block]));
    }
    plan_->scratch_bytes = round_up(scratch + kSlack, kAlignment);
    plan_->scratch = AlignedBuffer(plan_->scratch_bytes * threads);
  }

  /// Several lanes have blocks of one sample each for themselves, behind all others: at any time,
  /// each may be at another step.
  MemoryPlan plan_blocks() {
    std::vector<Lifetime> shared =
        lifetimes_of(program_, placement_, steps_, plan_->outputs, loop_);
    if (lanes_ == 1) return plan_memory(shared);
    std::vector<Lifetime> own = shared;
    for (std::size_t i = 0; i < shared.size(); ++i) {
      (loop_.is_single[i] ? shared : own)[i].bytes = 0;
    }
    MemoryPlan memory = plan_memory(shared);
    const MemoryPlan of_lane = plan_memory(own);
    lane_bytes_ = round_up(of_lane.arena_bytes, kAlignment);
    const Index first_lane = round_up(memory.arena_bytes, kAlignment);
    for (std::size_t i = 0; i < shared.size(); ++i) {
      if (loop_.is_single[i]) memory.offsets[i] = first_lane + of_lane.offsets[i];
    }
    memory.arena_bytes = saturating_sum(first_lane, saturating_product(lane_bytes_, lanes_));
    return memory;
  }

  void plan_step(const FusedStep& step, int threads) {
    const bool is_looped = loop_.contains(static_cast<int>(plan_->steps.size()));
    std::vector<Shape> shapes;
    PlannedStep planned{.op = step.op,
                        .inputs = step.inputs,
                        .output = step.output,
                        .quantized = step.quantized,
                        .absorbed = step.absorbed,
                        .views = {},
                        .output_view = plan_->tensors[at(step.written())],
                        .epilogue = step.epilogue(),
                        .bordered = {},
                        .parts = 1};
    for (const int input : step.inputs) {
      planned.views.push_back(plan_->tensors[at(input)]);
      // Of what a looped step reads, some may have room for one sample and some for all.
      const Shape& shape = planned.views.back().shape;
      shapes.push_back(is_looped ? with_extent(shape, 0, 1) : shape);
    }
    if (step.addend >= 0) planned.epilogue.addend = plan_->tensors[at(step.addend)];
    if (step.quantized >= 0) planned.epilogue.quantized = plan_->tensors[at(step.quantized)];
    if (!is_looped || lanes_ == 1) planned.parts = part_count(step.op->work(shapes), threads);
    plan_->steps.push_back(std::move(planned));
  }

  /// Lets the first step that writes to a block with a border fill the border.
  void fill_borders() {
    std::vector<bool> is_filled(placement_.homes.size(), false);
    for (const int input : program_.inputs) is_filled[at(input)] = true;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const int block = placement_.homes[at(steps_[i].written())].block;
      if (is_filled[at(block)] || plan_->tensors[at(block)].border == ops::Border{}) continue;
      is_filled[at(block)] = true;
      plan_->steps[i].bordered = plan_->tensors[at(block)];
      plan_->steps[i].border_value =
          static_cast<std::uint8_t>(program_.tensors[at(block)].quantization.zero_point);
    }
  }

  /// Lets the views of looped steps show one sample, and copies these steps for each lane.
  void make_lanes() {
    plan_->looped_steps = at(loop_.steps);
    plan_->samples = loop_.samples;
    if (loop_.steps == 0) return;
    share_borders();
    plan_->lanes.resize(at(lanes_));
    for (int i = 0; i < lanes_; ++i) {
      Lane& lane = plan_->lanes[at(i)];
      lane.steps.assign(plan_->steps.begin(), plan_->steps.begin() + loop_.steps);
      visit_views(lane.steps, [&](ops::TensorView& view, int tensor) {
        if (is_single(tensor)) {
          view.data += i * lane_bytes_;
        } else {
          const Index bytes = sample_bytes(view, tensor);
          view.shape = with_extent(view.shape, 0, 1);
          lane.moving_views.push_back({&view, bytes});
        }
      });
    }
    visit_views(plan_->steps,
                [](ops::TensorView& view, int) { view.shape = with_extent(view.shape, 0, 1); });
  }

  /// Takes the borders of whole batches from the looped steps: lanes would fill the same bytes.
  void share_borders() {
    for (std::size_t i = 0; i < plan_->looped_steps; ++i) {
      PlannedStep& planned = plan_->steps[i];
      if (planned.bordered.data == nullptr || is_single(steps_[i].written())) continue;
      plan_->shared_borders.push_back({planned.bordered, planned.border_value});
      planned.bordered = {};
    }
  }

  bool is_single(int tensor) const {
    return loop_.is_single[at(placement_.homes[at(tensor)].block)];
  }

  /// Calls visit(view, tensor) for all views of the looped steps.
  template <typename Visit>
  void visit_views(std::vector<PlannedStep>& planned, const Visit& visit) const {
    for (std::size_t i = 0; i < at(loop_.steps); ++i) {
      const FusedStep& step = steps_[i];
      for (std::size_t j = 0; j < step.inputs.size(); ++j) {
        visit(planned[i].views[j], step.inputs[j]);
      }
      visit(planned[i].output_view, step.written());
      if (step.addend >= 0) visit(planned[i].epilogue.addend, step.addend);
      if (step.quantized >= 0) visit(planned[i].epilogue.quantized, step.quantized);
      if (planned[i].bordered.data != nullptr) {
        visit(planned[i].bordered, placement_.homes[at(step.written())].block);
      }
    }
  }

  /// Bytes from one sample of a view of the whole batch to the next.
  Index sample_bytes(const ops::TensorView& view, int tensor) const {
    const DType dtype = program_.dtype_of(tensor);
    if (has_pixels(view.shape, dtype)) return view.image_pitch;
    return view.shape.element_count() / view.shape[0] * size_of(dtype);
  }

  void lend_inputs() {
    for (const int input : program_.inputs) {
      plan_->borrowers.emplace_back();
      if (program_.tensors[at(input)].dtype == DType::kFloat32) lend(input);
    }
  }

  void lend(int input) {
    std::vector<Borrower>& borrowers = plan_->borrowers.back();
    const std::byte* begin = plan_->tensors[at(input)].data;
    const auto visit = [&](ops::TensorView& view, int tensor) {
      if (placement_.homes[at(tensor)].block == input) {
        borrowers.push_back({&view, view.data - begin});
      }
    };
    const auto visit_inputs = [&](std::vector<PlannedStep>& steps) {
      for (PlannedStep& step : steps) {
        for (std::size_t i = 0; i < step.inputs.size(); ++i) visit(step.views[i], step.inputs[i]);
      }
    };
    for (std::size_t i = 0; i < plan_->tensors.size(); ++i) {
      visit(plan_->tensors[i], static_cast<int>(i));
    }
    visit_inputs(plan_->steps);
    for (Lane& lane : plan_->lanes) visit_inputs(lane.steps);
  }

  const PreparedProgram& program_;
  std::vector<FusedStep> steps_;
  Placement placement_;
  SampleLoop loop_;
  int lanes_ = 1;
  Index lane_bytes_ = 0;
  std::unique_ptr<Plan> plan_;
};

}  // namespace

std::unique_ptr<Plan> make_plan(const PreparedProgram& program, std::span<const Shape> inputs,
                                std::span<const int> outputs, int threads, const RunLimits& limits,
                                Index cache_bytes) {
  return Planner(program, inputs, outputs).run(threads, limits, cache_bytes);
}

}  // namespace smidgen::engine
