#pragma once

#include <deque>
#include <vector>

#include "engine/engine.h"
#include "guarded.h"
#include "sample_nets.h"

namespace smidgen::engine {

/// What a caller hands to a run and gets from it, each array against a fence: a caller knows
/// nothing of slack.
class CallerArrays {
 public:
  CallerArrays(const SampleNet& net, const Plan& plan, test::Fence fence) {
    test::Random random(12);
    for (std::size_t i = 0; i < net.inputs.size(); ++i) {
      const DType dtype = net.program.tensors[at(net.program.inputs[i])].dtype;
      inputs_.emplace_back(input_bytes(net.inputs[i], dtype, random), fence);
      sources_.push_back(inputs_.back().data());
    }
    for (const int output : net.program.outputs) {
      const Index count = plan.tensors[at(output)].shape.element_count();
      sizes_.push_back(count * size_of(net.program.tensors[at(output)].dtype));
      outputs_.emplace_back(sizes_.back(), fence);
      targets_.push_back(reinterpret_cast<std::byte*>(outputs_.back().data()));
    }
  }

  std::span<const std::byte* const> sources() const { return sources_; }
  std::span<std::byte* const> targets() const { return targets_; }

  /// What the outputs hold.
  std::vector<std::vector<std::byte>> values() const {
    std::vector<std::vector<std::byte>> values;
    for (std::size_t i = 0; i < targets_.size(); ++i) {
      CHECK(outputs_[i].is_intact([](Index) { return true; }));
      values.emplace_back(targets_[i], targets_[i] + sizes_[i]);
    }
    return values;
  }

 private:
  static std::size_t at(int tensor) { return static_cast<std::size_t>(tensor); }

  static std::vector<std::byte> input_bytes(const Shape& shape, DType dtype, test::Random& random) {
    std::vector<float> floats;
    std::vector<std::int64_t> integers;
    for (Index i = 0; i < shape.element_count(); ++i) {
      floats.push_back(static_cast<float>(random.between(-250, 250)) * 0.01F);
      integers.push_back(i % kSampleIndices);
    }
    const auto bytes = dtype == DType::kInt64 ? std::as_bytes(std::span(integers))
                                              : std::as_bytes(std::span(floats));
    return {bytes.begin(), bytes.end()};
  }

  std::deque<test::Fenced<std::byte>> inputs_;
  std::deque<test::GuardedBytes> outputs_;
  std::vector<Index> sizes_;
  std::vector<const std::byte*> sources_;
  std::vector<std::byte*> targets_;
};

}  // namespace smidgen::engine
