#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "base/shape.h"
#include "ops/operator.h"

// The steps of smidgen.program.steps.movement.

namespace smidgen::engine {

class Preparation;

struct Concat {
  std::vector<int> inputs;
  int output;
  int axis = 1;
};

struct Reshape {
  int input;
  int output;
  std::vector<Index> shape;
};

using MovementStep = std::variant<Concat, Reshape>;

std::unique_ptr<ops::Operator> prepare(const Concat& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Reshape& step, const Preparation& preparation);

}  // namespace smidgen::engine
