#pragma once

#include <span>
#include <vector>

#include "base/shape.h"

namespace smidgen::engine {

/// When a block of memory is in use: from the step that writes it to the last step that reads it,
/// both included.
struct Lifetime {
  Index bytes;
  int first;
  int last;
};

struct MemoryPlan {
  std::vector<Index> offsets;  // one a lifetime, multiples of kAlignment
  Index arena_bytes;
};

/// Places blocks so that no two that live at the same time overlap: the biggest first, each into
/// the tightest gap that it fits into. Each block gets kSlack bytes behind its end that are its
/// own.
MemoryPlan plan_memory(std::span<const Lifetime> lifetimes);

}  // namespace smidgen::engine
