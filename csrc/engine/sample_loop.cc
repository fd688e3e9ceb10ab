#include "engine/sample_loop.h"

#include <algorithm>

namespace smidgen::engine {
namespace {

std::size_t at(int index) { return static_cast<std::size_t>(index); }

/// All tensors that a step touches.
std::vector<int> touched_by(const FusedStep& step) {
  std::vector<int> tensors = step.reads();
  tensors.push_back(step.written());
  if (step.quantized >= 0) tensors.push_back(step.quantized);
  return tensors;
}

class Chooser {
 public:
  Chooser(const PreparedProgram& program, const Placement& placement,
          std::span<const FusedStep> steps, Index cache_bytes)
      : program_(program), placement_(placement), steps_(steps), cache_bytes_(cache_bytes) {
    if (!program.inputs.empty() && shape(program.inputs[0]).rank() > 0) {
      samples_ = shape(program.inputs[0])[0];
    }
  }

  Index samples() const { return samples_; }

  /// The number of steps that save the most traffic.
  int steps() const {
    if (samples_ < 2) return 0;
    Index saved = 0;
    Index most = 0;
    int best = 0;
    for (std::size_t i = 0; i < steps_.size() && keeps_samples_apart(steps_[i]); ++i) {
      saved += saved_by(steps_[i]);
      if (saved <= most) continue;
      most = saved;
      best = static_cast<int>(i) + 1;
    }
    return best;
  }

 private:
  const Shape& shape(int tensor) const { return placement_.shapes[at(tensor)]; }

  bool has_samples(int tensor) const {
    return shape(tensor).rank() > 0 && shape(tensor)[0] == samples_ &&
           placement_.constants[at(placement_.homes[at(tensor)].block)] == nullptr;
  }

  bool keeps_samples_apart(const FusedStep& step) const {
    return step.op->keeps_samples_apart() &&
           std::ranges::all_of(touched_by(step), [&](int tensor) { return has_samples(tensor); });
  }

  Index sample_bytes(int tensor) const {
    return shape(tensor).element_count() / samples_ * size_of(program_.dtype_of(tensor));
  }

  /// Bytes that the batch moves beyond the cache, less those of weights that are read again.
  Index saved_by(const FusedStep& step) const {
    Index bytes = 0;
    for (const int tensor : touched_by(step)) bytes += samples_ * sample_bytes(tensor);
    const Index beyond = bytes > cache_bytes_ ? bytes : 0;
    return beyond - (samples_ - 1) * weight_bytes(step);
  }

  /// The operations for each place of the output: about as many as the step has weights.
  Index weight_bytes(const FusedStep& step) const {
    std::vector<Shape> inputs;
    for (const int input : step.inputs) inputs.push_back(shape(input));
    const Shape& out = shape(step.output);
    const Index places = out.element_count() / (out.rank() > 1 ? out[1] : 1);
    return step.op->work(inputs) / places;
  }

  const PreparedProgram& program_;
  const Placement& placement_;
  std::span<const FusedStep> steps_;
  Index cache_bytes_;
  Index samples_ = 1;
};

}  // namespace

SampleLoop choose_sample_loop(const PreparedProgram& program, const Placement& placement,
                              std::span<const FusedStep> steps, std::span<const int> outputs,
                              Index cache_bytes) {
  const Chooser chooser(program, placement, steps, cache_bytes);
  SampleLoop loop{.steps = chooser.steps(), .is_single = {}};
  loop.is_single.assign(placement.homes.size(), false);
  if (loop.steps == 0) return loop;
  loop.samples = chooser.samples();
  const auto mark = [&](int tensor, bool is_single) {
    loop.is_single[at(placement.homes[at(tensor)].block)] = is_single;
  };
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (const int tensor : touched_by(steps[i])) mark(tensor, loop.contains(static_cast<int>(i)));
  }
  for (const int tensor : program.inputs) mark(tensor, false);
  for (const int tensor : outputs) mark(tensor, false);
  return loop;
}

int lane_count(const SampleLoop& loop, int threads) {
  if (loop.steps == 0) return 1;
  const Index rounds = ceil_div(loop.samples, Index{threads});
  const bool are_busy = 8 * loop.samples >= 7 * rounds * threads;
  return are_busy ? threads : 1;
}

void shrink_to_sample(const PreparedProgram& program, const SampleLoop& loop,
                      Placement& placement) {
  for (std::size_t i = 0; i < placement.homes.size(); ++i) {
    if (!loop.is_single[at(placement.homes[i].block)]) continue;
    placement.shapes[i] = with_extent(placement.shapes[i], 0, 1);
  }
  for (std::size_t i = 0; i < placement.homes.size(); ++i) {
    if (!loop.is_single[i]) continue;
    placement.layouts[i] = lay_out(placement.shapes[i], program.dtype_of(static_cast<int>(i)),
                                   placement.layouts[i].border);
  }
}

}  // namespace smidgen::engine
