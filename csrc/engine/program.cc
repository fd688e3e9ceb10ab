#include "engine/program.h"

#include <type_traits>

#include "base/error.h"

namespace smidgen::engine {
namespace {

template <typename T>
bool is_index_of(int index, const std::vector<T>& values) {
  return index >= 0 && static_cast<std::size_t>(index) < values.size();
}

class Checker {
 public:
  explicit Checker(const Program& program)
      : program_(program), is_written_(program.tensors.size(), false) {}

  void run() {
    for (const int input : program_.inputs) write(input);
    for (const Step& step : program_.steps) {
      for (const int input : step_inputs(step)) read(input);
      write(step_output(step));
      std::visit([this](const auto& typed) { check(typed); }, step);
    }
    for (const int output : program_.outputs) read(output);
  }

 private:
  const TensorInfo& tensor(int index) const {
    return program_.tensors[static_cast<std::size_t>(index)];
  }

  void read(int index) const {
    if (!is_index_of(index, program_.tensors) || !is_written_[static_cast<std::size_t>(index)]) {
      throw ProgramError("tensor " + std::to_string(index) + " is read before it is written");
    }
  }

  void write(int index) {
    if (!is_index_of(index, program_.tensors) || is_written_[static_cast<std::size_t>(index)]) {
      throw ProgramError("tensor " + std::to_string(index) +
                         " is unknown or written a second time");
    }
    is_written_[static_cast<std::size_t>(index)] = true;
  }

  void expect_type(int index, DType dtype) const {
    if (tensor(index).dtype == dtype) return;
    throw ProgramError("tensor '" + tensor(index).name + "' is " +
                       std::string(name_of(tensor(index).dtype)) + ", expected " +
                       std::string(name_of(dtype)));
  }

  void expect_constant(int index, DType dtype, int rank) const {
    if (is_index_of(index, program_.constants)) {
      const Constant& constant = program_.constants[static_cast<std::size_t>(index)];
      const auto bytes =
          static_cast<std::size_t>(constant.shape.element_count() * size_of(constant.dtype));
      if (constant.dtype == dtype && constant.shape.rank() == rank &&
          constant.bytes.size() == bytes) {
        return;
      }
    }
    throw ProgramError("constant " + std::to_string(index) + " is missing or not " +
                       std::string(name_of(dtype)) + " of rank " + std::to_string(rank));
  }

  void check(const Quantize& step) const {
    expect_type(step.input, DType::kFloat32);
    expect_type(step.output, DType::kUInt8);
  }

  void check(const Dequantize& step) const {
    expect_type(step.input, DType::kUInt8);
    expect_type(step.output, DType::kFloat32);
  }

  void check(const Reshape& step) const { expect_type(step.output, tensor(step.input).dtype); }

  template <typename Other>
  void check(const Other& step) const {
    for (const int input : step_inputs(step)) expect_type(input, DType::kUInt8);
    expect_type(step.output, DType::kUInt8);
    if constexpr (std::is_same_v<Other, Lookup>) {
      expect_constant(step.table, DType::kUInt8, 1);
    } else if constexpr (requires { step.weight; }) {
      expect_constant(step.weight, DType::kInt8, std::is_same_v<Other, Conv2d> ? 4 : 2);
      expect_constant(step.weight_scale, DType::kFloat32, 1);
      expect_constant(step.bias, DType::kInt32, 1);
    }
  }

  const Program& program_;
  std::vector<bool> is_written_;
};

}  // namespace

std::vector<int> step_inputs(const Step& step) {
  return std::visit(
      [](const auto& typed) -> std::vector<int> {
        using Type = std::decay_t<decltype(typed)>;
        if constexpr (requires { typed.lhs; }) {
          return {typed.lhs, typed.rhs};
        } else if constexpr (std::is_same_v<Type, Concat>) {
          return typed.inputs;
        } else {
          return {typed.input};
        }
      },
      step);
}

int step_output(const Step& step) {
  return std::visit([](const auto& typed) { return typed.output; }, step);
}

void check_program(const Program& program) { Checker(program).run(); }

}  // namespace smidgen::engine
