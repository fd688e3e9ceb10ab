#pragma once

#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "engine/program.h"

namespace smidgen::engine {

/// A program made ready, without its constants.
struct PreparedProgram {
  struct PreparedStep {
    std::unique_ptr<ops::Operator> op;
    std::vector<int> inputs;
    int output;
  };

  std::vector<TensorInfo> tensors;
  std::vector<PreparedStep> steps;
  std::vector<int> inputs;
  std::vector<int> outputs;
};

struct PlannedStep {
  const ops::Operator* op;
  std::vector<int> inputs;             // indices of tensors
  std::vector<ops::TensorView> views;  // the same tensors in memory
  int output;
  int threads;
  ops::Epilogue epilogue;
  int candidate = 0;
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
  std::vector<int> outputs;              // tensors whose values the run hands out
  std::vector<ops::TensorView> tensors;  // by index; float inputs have no memory of their own
  std::vector<PlannedStep> steps;
  AlignedBuffer arena;
  AlignedBuffer scratch;
  Index scratch_bytes = 0;  // for each thread

  Index bytes() const { return arena.size() + scratch.size(); }
};

/// Infers all shapes, decides how many threads each step gets and lays memory out. `outputs` are
/// kept to the end. Throws TensorError if the input shapes do not fit the program, or, before it
/// allocates anything, if the run would go beyond the limits.
std::unique_ptr<Plan> make_plan(const PreparedProgram& program, std::span<const Shape> inputs,
                                std::span<const int> outputs, int threads, const RunLimits& limits);

}  // namespace smidgen::engine
