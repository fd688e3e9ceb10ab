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

  /// The type of a tensor of the program, or of one that the planner has made, which is uint8.
  DType dtype_of(int tensor) const {
    const auto index = static_cast<std::size_t>(tensor);
    return index < tensors.size() ? tensors[index].dtype : DType::kUInt8;
  }
};

}  // namespace smidgen::engine
