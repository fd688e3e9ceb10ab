#include "ops/lookup.h"

#include <algorithm>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/lookup/registry.h"
#include "kernels/select.h"

namespace smidgen::ops {

Lookup::Lookup(std::span<const std::uint8_t> table, Isa isa)
    : table_(256), kernel_(kernels::best_variant(kernels::lookup_variants(), isa).kernel) {
  if (table.size() != 256) {
    throw ProgramError("a table has " + std::to_string(table.size()) + " entries, expected 256");
  }
  std::ranges::copy(table, table_.as<std::uint8_t>());
}

void Lookup::run(const Invocation& invocation) const noexcept {
  const Range mine = partition(invocation.output.shape.element_count(), kAlignment,
                               invocation.thread, invocation.threads);
  kernel_(mine.end - mine.begin, invocation.inputs[0].u8() + mine.begin, table_.as<std::uint8_t>(),
          invocation.output.u8() + mine.begin);
}

}  // namespace smidgen::ops
