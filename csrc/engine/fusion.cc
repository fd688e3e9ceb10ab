#include "engine/fusion.h"

#include <algorithm>
#include <array>
#include <optional>

namespace smidgen::engine {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

class Fuser {
 public:
  Fuser(const PreparedProgram& program, std::span<const int> outputs)
      : read_counts_(program.tensors.size(), 0), producers_(program.tensors.size(), -1) {
    for (const PreparedProgram::PreparedStep& step : program.steps) {
      for (const int input : step.inputs) ++read_counts_[at(input)];
      steps_.push_back(
          FusedStep{.op = step.op.get(), .inputs = step.inputs, .output = step.output});
    }
    for (const int output : outputs) ++read_counts_[at(output)];
  }

  std::vector<FusedStep> run() {
    for (std::size_t index = 0; index < steps_.size(); ++index) {
      if (const auto* lookup = dynamic_cast<const ops::Lookup*>(steps_[index]->op)) {
        fuse_lookup(index, *lookup);
      } else if (const auto* add = dynamic_cast<const ops::Add*>(steps_[index]->op)) {
        fuse_add(index, *add);
      }
      producers_[at(steps_[index]->output)] = static_cast<int>(index);
    }
    std::vector<FusedStep> fused;
    for (auto& step : steps_) {
      if (step) fused.push_back(std::move(*step));
    }
    return fused;
  }

 private:
  /// Where the step stands that writes a tensor which one step alone reads, or -1.
  int sole_producer(int tensor) const {
    return read_counts_[at(tensor)] == 1 ? producers_[at(tensor)] : -1;
  }

  /// Puts `fused` in the place of the step at `index`, if its operator can do its epilogue.
  bool replace(std::size_t index, int producer, FusedStep fused) {
    if (!fused.op->can_fuse(fused.epilogue())) return false;
    fused.absorbed.push_back(fused.output);
    fused.output = steps_[index]->output;
    steps_[at(producer)].reset();
    steps_[index] = std::move(fused);
    return true;
  }

  void fuse_lookup(std::size_t index, const ops::Lookup& lookup) {
    const int producer = sole_producer(steps_[index]->inputs[0]);
    if (producer < 0) return;
    FusedStep fused = *steps_[at(producer)];
    if (fused.lookup != nullptr || fused.add != nullptr) return;
    fused.lookup = &lookup;
    replace(index, producer, std::move(fused));
  }

  void fuse_add(std::size_t index, const ops::Add& add) {
    std::array<int, 2> operands{0, 1};
    const std::vector<int>& inputs = steps_[index]->inputs;
    if (sole_producer(inputs[1]) > sole_producer(inputs[0])) std::swap(operands[0], operands[1]);
    for (const int operand : operands) {
      if (fuse_add_into(index, add, operand)) return;
    }
  }

  bool fuse_add_into(std::size_t index, const ops::Add& add, int operand) {
    const std::vector<int>& inputs = steps_[index]->inputs;
    const int producer = sole_producer(inputs[at(operand)]);
    if (producer < 0) return false;
    FusedStep fused = *steps_[at(producer)];
    if (fused.add != nullptr) return false;
    fused.add = &add;
    fused.addend = inputs[at(1 - operand)];
    fused.is_addend_first = operand == 1;
    return replace(index, producer, std::move(fused));
  }

  std::vector<std::optional<FusedStep>> steps_;
  std::vector<int> read_counts_;  // by steps and by the caller
  std::vector<int> producers_;
};

}  // namespace

std::vector<int> FusedStep::reads() const {
  std::vector<int> tensors = inputs;
  if (addend >= 0) tensors.push_back(addend);
  return tensors;
}

ops::Epilogue FusedStep::epilogue() const {
  return {.lookup = lookup, .add = add, .addend = {}, .is_addend_first = is_addend_first};
}

std::vector<FusedStep> fuse(const PreparedProgram& program, std::span<const int> outputs) {
  return Fuser(program, outputs).run();
}

}  // namespace smidgen::engine
