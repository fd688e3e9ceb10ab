#pragma once

#include <array>
#include <memory>
#include <variant>
#include <vector>

#include "base/shape.h"
#include "ops/operator.h"

// The steps of smidgen.program.steps.movement.

namespace smidgen::engine {

class Preparation;

struct ConstantTensor {
  int output;
  int value;

  static std::vector<int> reads() { return {}; }
};

struct Reshape {
  int input;
  int output;
  std::vector<Index> shape;
};

struct Concat {
  std::vector<int> inputs;
  int output;
  int axis = 1;
};

struct Transpose {
  int input;
  int output;
  std::vector<int> permutation;
};

struct Slice {
  int input;
  int output;
  int axis;
  Index start;
  Index stop;
  Index stride;
};

struct Expand {
  int input;
  int output;
  std::vector<Index> shape;
};

struct Pad {
  int input;
  int output;
  std::vector<std::array<Index, 2>> pads;
  float value;
};

struct Gather {
  int input;
  int indices;
  int output;
  int axis;

  std::vector<int> reads() const { return {input, indices}; }
};

using MovementStep =
    std::variant<ConstantTensor, Reshape, Concat, Transpose, Slice, Expand, Pad, Gather>;

std::unique_ptr<ops::Operator> prepare(const ConstantTensor& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Reshape& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Concat& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Transpose& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Slice& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Expand& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Pad& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Gather& step, const Preparation& preparation);

}  // namespace smidgen::engine
