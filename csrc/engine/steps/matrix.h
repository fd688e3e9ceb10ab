#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "ops/operator.h"

// The steps of smidgen.program.steps.matrix.

namespace smidgen::engine {

class Preparation;

struct MatMul {
  int lhs;
  int rhs;
  int output;
  bool transpose_rhs;
};

struct Embedding {
  int indices;
  int output;
  int table;  // [V, D] int8
  int table_scale;

  std::vector<int> reads() const { return {indices}; }
};

struct DynamicLinear {
  int input;
  int output;
  int weight;  // [O, I] int8
  int weight_scale;
  int bias;
};

using MatrixStep = std::variant<MatMul, Embedding, DynamicLinear>;

std::unique_ptr<ops::Operator> prepare(const MatMul& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Embedding& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const DynamicLinear& step, const Preparation& preparation);

}  // namespace smidgen::engine
