#pragma once

#include <array>
#include <memory>
#include <variant>

#include "base/shape.h"
#include "ops/operator.h"

// The steps of smidgen.program.steps.float_layers.

namespace smidgen::engine {

class Preparation;

struct FloatConv2d {
  int input;
  int output;
  int weight;  // [O, C / groups, KH, KW] float32
  int bias;
  std::array<Index, 2> stride;
  std::array<Index, 4> padding;
  std::array<Index, 2> dilation;
  Index groups;
};

struct FloatConvTranspose2d {
  int input;
  int output;
  int weight;  // [C, O / groups, KH, KW] float32
  int bias;
  std::array<Index, 2> stride;
  std::array<Index, 4> padding;
  std::array<Index, 2> output_padding;
  std::array<Index, 2> dilation;
  Index groups;
};

using FloatLayerStep = std::variant<FloatConv2d, FloatConvTranspose2d>;

std::unique_ptr<ops::Operator> prepare(const FloatConv2d& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const FloatConvTranspose2d& step,
                                       const Preparation& preparation);

}  // namespace smidgen::engine
