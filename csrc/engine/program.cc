#include "engine/program.h"

#include "base/error.h"

namespace smidgen::engine {
namespace {

class Checker {
 public:
  explicit Checker(const Program& program)
      : program_(program), is_written_(program.tensors.size(), false) {}

  void run() {
    for (const int input : program_.inputs) write(input);
    for (const Step& step : program_.steps) {
      for (const int input : step_inputs(step)) read(input);
      write(step_output(step));
    }
    for (const int output : program_.outputs) read(output);
  }

 private:
  bool is_tensor(int index) const {
    return index >= 0 && static_cast<std::size_t>(index) < program_.tensors.size();
  }

  void read(int index) const {
    if (!is_tensor(index) || !is_written_[static_cast<std::size_t>(index)]) {
      throw ProgramError("tensor " + std::to_string(index) + " is read before it is written");
    }
  }

  void write(int index) {
    if (!is_tensor(index) || is_written_[static_cast<std::size_t>(index)]) {
      throw ProgramError("tensor " + std::to_string(index) +
                         " is unknown or written a second time");
    }
    is_written_[static_cast<std::size_t>(index)] = true;
  }

  const Program& program_;
  std::vector<bool> is_written_;
};

/// The tensors that a step reads: what its `reads` says, or else its fields of the usual names.
template <typename Typed>
std::vector<int> reads_of(const Typed& step) {
  if constexpr (requires { step.reads(); }) {
    return step.reads();
  } else if constexpr (requires { step.inputs; }) {
    return step.inputs;
  } else if constexpr (requires { step.lhs; }) {
    return {step.lhs, step.rhs};
  } else {
    return {step.input};
  }
}

}  // namespace

std::vector<int> step_inputs(const Step& step) {
  return std::visit([](const auto& typed) { return reads_of(typed); }, step);
}

int step_output(const Step& step) {
  return std::visit([](const auto& typed) { return typed.output; }, step);
}

void check_program(const Program& program) { Checker(program).run(); }

}  // namespace smidgen::engine
