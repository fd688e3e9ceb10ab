#pragma once

#include "base/isa.h"
#include "engine/program.h"

namespace smidgen::engine {

/// What a step may ask about its program while it is made ready. The tensors of the step exist;
/// everything else about them is for the step to check.
class Preparation {
 public:
  Preparation(const Program& program, Isa isa) : program_(program), isa_(isa) {}

  Isa isa() const { return isa_; }

  const TensorInfo& tensor(int index) const {
    return program_.tensors[static_cast<std::size_t>(index)];
  }
  const ops::Quantization& quantization(int index) const { return tensor(index).quantization; }

  /// Throws ProgramError unless the tensor has the type.
  void expect_type(int index, DType dtype) const;

  /// Returns a constant. Throws ProgramError unless it exists and has the type and rank.
  const Constant& constant(int index, DType dtype, int rank) const;

 private:
  const Program& program_;
  Isa isa_;
};

}  // namespace smidgen::engine
