#pragma once

#include <memory>
#include <vector>

#include "engine/program.h"

namespace smidgen::engine {

/// A program made ready, without its constants.
struct PreparedProgram {
  struct PreparedStep {
    std::unique_ptr<ops::Operator> op;
    std::vector<int> inputs;
    int output;
  };

  std::vector<TensorInfo> tensors;
  std::vector<PreparedStep> steps;
  std::vector<int> inputs;
  std::vector<int> outputs;
};

}  // namespace smidgen::engine
