#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/partition.h"
#include "engine/home.h"
#include "engine/prepared_program.h"

namespace smidgen::engine {

struct PlannedStep {
  const ops::Operator* op;
  std::vector<int> inputs;  // indices of tensors
  int output;
  int quantized = -1;                  // the output once more, quantized; -1 for none
  std::vector<int> absorbed;           // outputs of the steps before the last that it stands for
  std::vector<ops::TensorView> views;  // the inputs in memory
  ops::TensorView output_view;
  ops::Epilogue epilogue;
  ops::TensorView bordered;  // the tensor whose border the step fills; without data if it has none
  std::uint8_t border_value = 0;
  int parts;  // into which threads share it out
  int candidate = 0;
};

/// A view of the steps that run sample by sample, which moves on from one sample to the next.
struct MovingView {
  ops::TensorView* view;
  Index step;  // bytes
};

/// A border of a whole batch, which samples share with their neighbours.
struct SharedBorder {
  ops::TensorView tensor;
  std::uint8_t value;
};

/// The steps that run sample by sample, with memory of their own. Lanes may run at the same time.
struct Lane {
  std::vector<PlannedStep> steps;
  std::vector<MovingView> moving_views;  // of these steps, at the first sample between runs
};

/// A view that a run points to the caller's array, which serves float inputs as it is.
struct Borrower {
  ops::TensorView* view;
  Index offset;  // bytes from the begin of the array
};

/// What one run may take.
struct RunLimits {
  Index bytes = std::numeric_limits<Index>::max();  // of activations and temporary memory
  Index work = std::numeric_limits<Index>::max();   // operations, as Operator::work counts them
};

/// Everything that one run needs for one set of input shapes, memory included. One run at a time
/// may use it.
struct Plan {
  std::vector<Shape> input_shapes;
  std::vector<int> outputs;                      // tensors whose values the run hands out
  std::vector<ops::TensorView> tensors;          // by index
  std::vector<Home> homes;                       // by index
  std::vector<std::vector<Borrower>> borrowers;  // by input; inputs of other types are copied
  std::vector<PlannedStep> steps;                // all; of looped ones the lanes run their copies
  std::size_t looped_steps = 0;              // the first steps, which lanes run sample by sample
  Index samples = 1;                         // that these run for
  std::vector<Lane> lanes;                   // one, or one for each thread; none without such steps
  std::vector<SharedBorder> shared_borders;  // to fill before the lanes run
  bool ignores_subnormals = false;           // as of all operators
  AlignedBuffer arena;
  AlignedBuffer scratch;
  Index scratch_bytes = 0;  // for each thread

  Index bytes() const { return arena.size() + scratch.size(); }

  /// Lets lanes run the candidates that were chosen for `steps`.
  void pass_candidates_on() {
    for (Lane& lane : lanes) {
      for (std::size_t i = 0; i < lane.steps.size(); ++i) {
        lane.steps[i].candidate = steps[i].candidate;
      }
    }
  }
};

/// Infers all shapes, fuses steps, decides how many threads each gets and lays memory out.
/// `outputs` are kept to the end. Throws TensorError if the input shapes do not fit the program,
/// or, before it allocates anything, if the run would go beyond the limits. `cache_bytes` as for
/// choose_sample_loop().
std::unique_ptr<Plan> make_plan(const PreparedProgram& program, std::span<const Shape> inputs,
                                std::span<const int> outputs, int threads, const RunLimits& limits,
                                Index cache_bytes);

}  // namespace smidgen::engine
