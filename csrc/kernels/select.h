#pragma once

#include <cstddef>
#include <span>

#include "base/isa.h"

namespace smidgen::kernels {

/// Returns the first row of the highest level that serves `level`. A table begins with its portable
/// row.
template <typename Variant>
const Variant& best_variant(std::span<const Variant> table, Isa level) {
  const Variant* best = &table.front();
  for (const Variant& row : table) {
    if (row.isa > best->isa && serves(row.isa, level)) best = &row;
  }
  return *best;
}

}  // namespace smidgen::kernels
