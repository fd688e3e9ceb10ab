#pragma once

#include <array>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/shape.h"
#include "ops/operator.h"

// The steps of smidgen.program.steps.resampling.

namespace smidgen::engine {

class Preparation;

struct ConvTranspose2d {
  int input;
  int output;
  int weight;  // [C, O / groups, KH, KW] int8
  int weight_scale;
  int bias;
  std::array<Index, 2> stride;
  std::array<Index, 4> padding;
  std::array<Index, 2> output_padding;
  std::array<Index, 2> dilation;
  Index groups;
  int qmin;
  int qmax;
};

struct Resize {
  int input;
  int output;
  std::string mode;
  std::array<Index, 2> size;
  std::array<float, 2> ratio;
  bool align_corners;
};

using ResamplingStep = std::variant<ConvTranspose2d, Resize>;

std::unique_ptr<ops::Operator> prepare(const ConvTranspose2d& step, const Preparation& preparation);
std::unique_ptr<ops::Operator> prepare(const Resize& step, const Preparation& preparation);

}  // namespace smidgen::engine
