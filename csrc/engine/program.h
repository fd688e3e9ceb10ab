#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"
#include "ops/operator.h"
#include "ops/window.h"

namespace smidgen::engine {

// The steps of smidgen.program.steps, with indices into Program::tensors and Program::constants for
// names.

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

struct Concat {
  std::vector<int> inputs;
  int output;
};

struct Lookup {
  int input;
  int output;
  int table;  // [256] uint8
};

struct Reshape {
  int input;
  int output;
  std::vector<Index> shape;
};

using Step = std::variant<Quantize, Dequantize, Conv2d, Linear, Add, Multiply, AveragePool2d,
                          MaxPool2d, Concat, Lookup, Reshape>;

struct TensorInfo {
  std::string name;
  DType dtype;
  int rank;
  ops::Quantization quantization;  // of uint8 tensors
};

struct Constant {
  DType dtype;
  Shape shape;
  std::vector<std::byte> bytes;

  template <typename T>
  std::span<const T> values() const {
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
};

/// An integer program as plain values. Only needed until an Engine is made of it.
struct Program {
  std::vector<TensorInfo> tensors;
  std::vector<Constant> constants;
  std::vector<Step> steps;
  std::vector<int> inputs;
  std::vector<int> outputs;
};

std::vector<int> step_inputs(const Step& step);
int step_output(const Step& step);

/// Checks that all indices are in range, that tensors are written once and before they are read,
/// and that types and ranks are those that the steps need: what keeps the engine inside its memory.
/// smidgen.program.verify checks the rest. Throws ProgramError.
void check_program(const Program& program);

}  // namespace smidgen::engine
