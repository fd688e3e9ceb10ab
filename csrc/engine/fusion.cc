#include "engine/fusion.h"

#include <algorithm>
#include <array>
#include <optional>

#include "engine/tensor_layout.h"
#include "ops/binary.h"

namespace smidgen::engine {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

class Fuser {
 public:
  Fuser(const PreparedProgram& program, std::span<const Shape> shapes, std::span<const int> outputs)
      : shapes_(shapes),
        read_counts_(program.tensors.size(), 0),
        producers_(program.tensors.size(), -1) {
    for (const PreparedProgram::PreparedStep& step : program.steps) {
      for (const int input : step.inputs) ++read_counts_[at(input)];
      steps_.push_back(
          FusedStep{.op = step.op.get(), .inputs = step.inputs, .output = step.output});
    }
    for (const int output : outputs) ++read_counts_[at(output)];
  }

  std::vector<FusedStep> run() {
    for (std::size_t index = 0; index < steps_.size(); ++index) {
      fuse_step(index);
      if (steps_[index]) producers_[at(steps_[index]->output)] = static_cast<int>(index);
    }
    std::vector<FusedStep> fused;
    for (auto& step : steps_) {
      if (step) fused.push_back(std::move(*step));
    }
    return fused;
  }

 private:
  void fuse_step(std::size_t index) {
    const ops::Operator* op = steps_[index]->op;
    if (const auto* lookup = dynamic_cast<const ops::Lookup*>(op)) {
      fuse_lookup(index, *lookup);
    } else if (const auto* add = dynamic_cast<const ops::Add*>(op)) {
      fuse_add(index, *add);
    } else if (const auto* quantize = dynamic_cast<const ops::Quantize*>(op)) {
      fuse_quantize(index, *quantize);
    } else if (op->can_add_inputs()) {
      absorb_sum(index);
    }
  }

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

  /// Puts the operands of a sum in its place, if nothing else reads it.
  void absorb_sum(std::size_t index) {
    FusedStep& step = *steps_[index];
    const int sum = step.inputs[0];
    const int producer = sole_producer(sum);
    if (producer < 0) return;
    const FusedStep& summing = *steps_[at(producer)];
    const auto* binary = dynamic_cast<const ops::Binary*>(summing.op);
    if (binary == nullptr || binary->function() != kernels::BinaryFunction::kAdd) return;
    const auto is_whole = [&](int operand) { return shapes_[at(operand)] == shapes_[at(sum)]; };
    if (!std::ranges::all_of(summing.inputs, is_whole)) return;
    step.inputs = summing.inputs;
    step.absorbed.push_back(sum);
    steps_[at(producer)].reset();
  }

  /// Lets the step that writes the input write it quantized as well. Values of a tensor with pixels
  /// would have to change their places.
  void fuse_quantize(std::size_t index, const ops::Quantize& quantize) {
    const int input = steps_[index]->inputs[0];
    const int output = steps_[index]->output;
    const int producer = producers_[at(input)];
    if (producer < 0 || has_pixels(shapes_[at(output)], DType::kUInt8)) return;
    FusedStep fused = *steps_[at(producer)];
    if (fused.quantize != nullptr) return;
    fused.quantize = &quantize;
    fused.quantized = output;
    if (!fused.op->can_fuse(fused.epilogue())) return;
    steps_[at(producer)] = std::move(fused);
    steps_[index].reset();
  }

  std::span<const Shape> shapes_;
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
  return {.lookup = lookup,
          .add = add,
          .addend = {},
          .is_addend_first = is_addend_first,
          .quantize = quantize,
          .quantized = {}};
}

std::vector<FusedStep> fuse(const PreparedProgram& program, std::span<const Shape> shapes,
                            std::span<const int> outputs) {
  return Fuser(program, shapes, outputs).run();
}

}  // namespace smidgen::engine
