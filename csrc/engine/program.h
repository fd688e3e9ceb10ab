#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"
#include "engine/steps/attention.h"
#include "engine/steps/elementwise.h"
#include "engine/steps/float_layers.h"
#include "engine/steps/matrix.h"
#include "engine/steps/movement.h"
#include "engine/steps/quantized.h"
#include "engine/steps/reduction.h"
#include "engine/steps/resampling.h"
#include "ops/operator.h"

namespace smidgen::engine {

template <typename... Variants>
struct Joined;

template <typename... Steps>
struct Joined<std::variant<Steps...>> {
  using Type = std::variant<Steps...>;
};

template <typename... First, typename... Second, typename... Rest>
struct Joined<std::variant<First...>, std::variant<Second...>, Rest...>
    : Joined<std::variant<First..., Second...>, Rest...> {};

/// A step of smidgen.program.steps, with indices into Program::tensors and Program::constants for
/// names. One header a family.
using Step = Joined<QuantizedStep, ResamplingStep, MovementStep, AttentionStep, ElementwiseStep,
                    ReductionStep, MatrixStep, FloatLayerStep>::Type;

struct TensorInfo {
  std::string name;
  DType dtype;
  int rank;
  ops::Quantization quantization;  // of uint8 tensors
};

/// Values that somebody else may own; copies share them.
struct Constant {
  DType dtype;
  Shape shape;
  std::span<const std::byte> bytes;  // aligned as the type needs
  std::shared_ptr<const void> owner;

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

/// The tensors that a step reads, in the order in which its operator takes them.
std::vector<int> step_inputs(const Step& step);
int step_output(const Step& step);

/// Checks that all indices of tensors are in range and that tensors are written once and before
/// they are read. `prepare` checks types and constants of each step: both together keep the engine
/// inside its memory. smidgen.program.verify checks the rest. Throws ProgramError.
void check_program(const Program& program);

}  // namespace smidgen::engine
