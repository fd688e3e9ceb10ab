#pragma once

#include <memory>
#include <variant>
#include <vector>

#include "base/shape.h"
#include "ops/operator.h"

// The steps of smidgen.program.steps.attention.

namespace smidgen::engine {

class Preparation;

struct Attention {
  int query;
  int key;
  int value;
  int output;
  int mask;  // -1 for none
  Index heads;
  Index head_size;
  float scale;
  Index query_offset;
  Index key_offset;
  Index value_offset;

  std::vector<int> reads() const {
    std::vector<int> tensors = {query, key, value};
    if (mask >= 0) tensors.push_back(mask);
    return tensors;
  }
};

using AttentionStep = std::variant<Attention>;

std::unique_ptr<ops::Operator> prepare(const Attention& step, const Preparation& preparation);

}  // namespace smidgen::engine
