#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "ops/operator.h"

// The steps of smidgen.program.steps.elementwise.

namespace smidgen::engine {

class Preparation;

struct Unary {
  int input;
  int output;
  std::string function;
  std::vector<float> parameters;
};

struct Binary {
  int lhs;
  int rhs;
  int output;
  std::string function;
};

struct Compare {
  int lhs;
  int rhs;
  int output;
  std::string function;
};

struct Where {
  int condition;
  int lhs;
  int rhs;
  int output;

  std::vector<int> reads() const { return {condition, lhs, rhs}; }
};

struct Cast {
  int input;
  int output;
};

using ElementwiseStep = std::variant<Unary, Binary, Compare, Where, Cast>;

std::unique_ptr<ops::Operator> prepare(const Unary& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Binary& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Compare& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Where& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Cast& step, const Preparation& preparation);

}  // namespace smidgen::engine
