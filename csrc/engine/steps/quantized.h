#pragma once

#include <memory>
#include <variant>

#include "base/shape.h"
#include "ops/operator.h"
#include "ops/window.h"

// The steps of smidgen.program.steps.quantized.

namespace smidgen::engine {

class Preparation;

struct Quantize {
  int input;
  int output;
};

struct Dequantize {
  int input;
  int output;
};

struct Conv2d {
  int input;
  int output;
  int weight;  // [O, C / groups, KH, KW] int8; gives the window's kernel
  int weight_scale;
  int bias;
  ops::Window window;
  Index groups;
  ops::Clamp clamp;
};

struct Linear {
  int input;
  int output;
  int weight;  // [O, I] int8
  int weight_scale;
  int bias;
  ops::Clamp clamp;
};

struct Add {
  int lhs;
  int rhs;
  int output;
  ops::Clamp clamp;
};

struct Multiply {
  int lhs;
  int rhs;
  int output;
  ops::Clamp clamp;
};

struct AveragePool2d {
  int input;
  int output;
  ops::Window window;
  bool is_global;
  bool count_include_pad;
  ops::Clamp clamp;
};

struct MaxPool2d {
  int input;
  int output;
  ops::Window window;
};

struct Lookup {
  int input;
  int output;
  int table;  // [256] uint8
};

using QuantizedStep = std::variant<Quantize, Dequantize, Conv2d, Linear, Add, Multiply,
                                   AveragePool2d, MaxPool2d, Lookup>;

std::unique_ptr<ops::Operator> prepare(const Quantize& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Dequantize& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Conv2d& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Linear& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Add& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Multiply& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const AveragePool2d& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const MaxPool2d& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Lookup& step, const Preparation& preparation);

}  // namespace smidgen::engine
