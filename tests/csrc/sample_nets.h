#pragma once

#include <string>
#include <vector>

#include "sample_program.h"

namespace smidgen::engine {

/// A program with the shapes of inputs that it takes.
struct SampleNet {
  std::string name;
  Program program;
  std::vector<Shape> inputs;
};

/// Nets that together have every kind of step, and some random ones. int64 inputs are indices
/// below kSampleIndices.
std::vector<SampleNet> sample_nets();

inline constexpr std::int64_t kSampleIndices = 5;

}  // namespace smidgen::engine
