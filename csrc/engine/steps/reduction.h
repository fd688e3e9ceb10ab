#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "ops/operator.h"

// The steps of smidgen.program.steps.reduction.

namespace smidgen::engine {

class Preparation;

struct Reduce {
  int input;
  int output;
  std::string function;
  std::vector<int> axes;
  bool keep_dims;
};

struct Softmax {
  int input;
  int output;
  int axis;
};

struct LayerNorm {
  int input;
  int output;
  float epsilon;
  int weight;  // -1 for none
  int bias;    // -1 for none
};

using ReductionStep = std::variant<Reduce, Softmax, LayerNorm>;

std::unique_ptr<ops::Operator> prepare(const Reduce& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Softmax& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const LayerNorm& step, const Preparation& preparation);

}  // namespace smidgen::engine
