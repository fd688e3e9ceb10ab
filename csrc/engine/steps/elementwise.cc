#include "engine/steps/elementwise.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "engine/preparation.h"
#include "ops/binary.h"
#include "ops/cast.h"
#include "ops/unary.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;
using kernels::BinaryFunction;
using kernels::UnaryFunction;

template <typename Function>
struct Named {
  std::string_view name;
  Function function;
};

constexpr std::array kUnary = {
    Named{"abs", UnaryFunction::kAbs},
    Named{"clamp", UnaryFunction::kClamp},
    Named{"elu", UnaryFunction::kElu},
    Named{"erf", UnaryFunction::kErf},
    Named{"exp", UnaryFunction::kExp},
    Named{"floor", UnaryFunction::kFloor},
    Named{"gelu", UnaryFunction::kGelu},
    Named{"gelu_tanh", UnaryFunction::kGeluTanh},
    Named{"hardsigmoid", UnaryFunction::kHardsigmoid},
    Named{"hardswish", UnaryFunction::kHardswish},
    Named{"leaky_relu", UnaryFunction::kLeakyRelu},
    Named{"log", UnaryFunction::kLog},
    Named{"mish", UnaryFunction::kMish},
    Named{"neg", UnaryFunction::kNeg},
    Named{"reciprocal", UnaryFunction::kReciprocal},
    Named{"relu", UnaryFunction::kRelu},
    Named{"round", UnaryFunction::kRound},
    Named{"rsqrt", UnaryFunction::kRsqrt},
    Named{"sigmoid", UnaryFunction::kSigmoid},
    Named{"silu", UnaryFunction::kSilu},
    Named{"softplus", UnaryFunction::kSoftplus},
    Named{"sqrt", UnaryFunction::kSqrt},
    Named{"tanh", UnaryFunction::kTanh},
};

struct ExactPower {
  float exponent;
  UnaryFunction function;
};

// Powers that smidgen.functional computes in one or two float32 operations.
constexpr std::array kExactPowers = {
    ExactPower{-1.0F, UnaryFunction::kReciprocal}, ExactPower{-0.5F, UnaryFunction::kRsqrt},
    ExactPower{0.5F, UnaryFunction::kSqrt},        ExactPower{2.0F, UnaryFunction::kSquare},
    ExactPower{3.0F, UnaryFunction::kCube},
};

constexpr std::array kBinary = {
    Named{"add", BinaryFunction::kAdd},         Named{"sub", BinaryFunction::kSub},
    Named{"mul", BinaryFunction::kMul},         Named{"div", BinaryFunction::kDiv},
    Named{"minimum", BinaryFunction::kMinimum}, Named{"maximum", BinaryFunction::kMaximum},
};

using Integer = ops::IntegerBinary::Function;
constexpr std::array kInt64 = {
    Named{"add", Integer::kAdd},
    Named{"sub", Integer::kSub},
    Named{"mul", Integer::kMul},
};
constexpr std::array kBool = {Named{"and", Integer::kAnd}, Named{"or", Integer::kOr}};

using Comparison = ops::Compare::Function;
constexpr std::array kComparisons = {
    Named{"eq", Comparison::kEq}, Named{"ne", Comparison::kNe}, Named{"lt", Comparison::kLt},
    Named{"le", Comparison::kLe}, Named{"gt", Comparison::kGt}, Named{"ge", Comparison::kGe},
};

template <typename Table>
auto function_of(const Table& table, const std::string& name) {
  const auto found = std::ranges::find(table, name, &Table::value_type::name);
  if (found == table.end()) throw ProgramError("there is no function '" + name + "' of this type");
  return found->function;
}

Prepared prepare_power(float exponent, Isa isa) {
  const auto exact = std::ranges::find(kExactPowers, exponent, &ExactPower::exponent);
  if (exact != kExactPowers.end()) {
    return std::make_unique<ops::Unary>(exact->function, ops::Unary::Parameters{}, isa);
  }
  return std::make_unique<ops::WideUnary>(ops::WideUnary::Function::kPower, exponent);
}

void expect_types(const Preparation& preparation, std::initializer_list<int> tensors, DType dtype) {
  for (const int tensor : tensors) preparation.expect_type(tensor, dtype);
}

/// Returns the type of a tensor, which must be one without a scale.
DType plain_type(const Preparation& preparation, int tensor) {
  const DType dtype = preparation.tensor(tensor).dtype;
  if (dtype != DType::kInt64 && dtype != DType::kBool) {
    preparation.expect_type(tensor, DType::kFloat32);
  }
  return dtype;
}

}  // namespace

Prepared prepare(const Unary& step, const Preparation& preparation) {
  if (step.function == "not") {
    expect_types(preparation, {step.input, step.output}, DType::kBool);
    return std::make_unique<ops::Not>();
  }
  expect_types(preparation, {step.input, step.output}, DType::kFloat32);
  ops::Unary::Parameters parameters{};
  if (step.parameters.size() > parameters.size()) {
    throw ProgramError(step.function + " has too many parameters");
  }
  std::ranges::copy(step.parameters, parameters.begin());
  if (step.function == "pow") return prepare_power(parameters[0], preparation.isa());
  if (step.function == "sin") {
    return std::make_unique<ops::WideUnary>(ops::WideUnary::Function::kSine, 0.0F);
  }
  if (step.function == "cos") {
    return std::make_unique<ops::WideUnary>(ops::WideUnary::Function::kCosine, 0.0F);
  }
  return std::make_unique<ops::Unary>(function_of(kUnary, step.function), parameters,
                                      preparation.isa());
}

Prepared prepare(const Binary& step, const Preparation& preparation) {
  const DType dtype = plain_type(preparation, step.output);
  expect_types(preparation, {step.lhs, step.rhs}, dtype);
  if (dtype == DType::kInt64) {
    return std::make_unique<ops::IntegerBinary>(function_of(kInt64, step.function));
  }
  if (dtype == DType::kBool) {
    return std::make_unique<ops::IntegerBinary>(function_of(kBool, step.function));
  }
  if (step.function == "pow") return std::make_unique<ops::Power>();
  return std::make_unique<ops::Binary>(function_of(kBinary, step.function), preparation.isa());
}

Prepared prepare(const Compare& step, const Preparation& preparation) {
  preparation.expect_type(step.output, DType::kBool);
  const DType dtype = preparation.tensor(step.lhs).dtype;
  if (dtype != DType::kInt64) preparation.expect_type(step.lhs, DType::kFloat32);
  preparation.expect_type(step.rhs, dtype);
  return std::make_unique<ops::Compare>(function_of(kComparisons, step.function), dtype);
}

Prepared prepare(const Where& step, const Preparation& preparation) {
  preparation.expect_type(step.condition, DType::kBool);
  const DType dtype = plain_type(preparation, step.output);
  expect_types(preparation, {step.lhs, step.rhs}, dtype);
  return std::make_unique<ops::Where>(dtype);
}

Prepared prepare(const Cast& step, const Preparation& preparation) {
  return std::make_unique<ops::Cast>(plain_type(preparation, step.input),
                                     plain_type(preparation, step.output));
}

}  // namespace smidgen::engine
