#pragma once

#include <span>
#include <vector>

#include "engine/fusion.h"
#include "engine/home.h"
#include "engine/tensor_layout.h"

namespace smidgen::engine {

/// The tensors of a plan: those of the program by index, then those made by the planner.
struct Placement {
  std::vector<Shape> shapes;
  std::vector<Home> homes;
  std::vector<TensorLayout> layouts;  // of blocks
  std::vector<std::byte*> constants;  // of blocks: memory that nothing writes, null for others

  ops::TensorView view(int tensor, std::byte* block) const;
};

/// Decides where tensors lie.
///
/// The inputs of a concatenation become slices of its output, so that the step disappears, or at
/// least copies less: `steps` is changed. A reshape that leaves all bytes where they are disappears
/// too, and so does a constant that can be read where the engine keeps it. A tensor gets the border
/// that its readers want, if all steps that touch it take pitches. A step that can do so writes
/// over its input if nothing reads that later, and it is neither an input of the program nor among
/// `outputs`.
Placement place(const PreparedProgram& program, std::vector<Shape> shapes,
                std::vector<FusedStep>& steps, std::span<const int> outputs);

}  // namespace smidgen::engine
