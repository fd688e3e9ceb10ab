#pragma once

#include <span>
#include <vector>

#include "engine/prepared_program.h"
#include "ops/add.h"
#include "ops/lookup.h"
#include "ops/quantize.h"

namespace smidgen::engine {

/// A step of a plan before it has memory: a step of the program and those that became part of it.
struct FusedStep {
  const ops::Operator* op;
  std::vector<int> inputs;
  int output;                   // of the last of the steps
  std::vector<int> absorbed{};  // outputs of the others, in order; they are nowhere in memory
  const ops::Lookup* lookup = nullptr;
  const ops::Add* add = nullptr;
  int addend = -1;
  bool is_addend_first = false;
  const ops::Quantize* quantize = nullptr;
  int quantized = -1;  // the output once more, by `quantize`
  int slice = -1;  // the part of `output` that the step writes, where that is a tensor of its own

  /// The tensor that the step writes.
  int written() const { return slice < 0 ? output : slice; }

  /// All tensors that the step reads.
  std::vector<int> reads() const;

  /// The epilogue, whose tensors have no memory yet.
  ops::Epilogue epilogue() const;
};

/// Makes steps part of others.
///
/// Lookups and additions become part of the step that writes their input, where that can do them,
/// nothing else reads the input, and it is not among `outputs`. A step with such an epilogue runs
/// where the last of its parts stood, so the other operand of an addition exists by then. Likewise,
/// the sum of two floats becomes part of the step that reads it. A quantization becomes part of the
/// step that writes its input, whoever else reads that.
std::vector<FusedStep> fuse(const PreparedProgram& program, std::span<const Shape> shapes,
                            std::span<const int> outputs);

}  // namespace smidgen::engine
