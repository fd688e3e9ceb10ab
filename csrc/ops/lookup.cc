#include "ops/lookup.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/lookup/registry.h"
#include "kernels/select.h"
#include "ops/pixel_runs.h"

namespace smidgen::ops {

Lookup::Lookup(std::span<const std::uint8_t> table, Isa isa)
    : table_(256), kernel_(kernels::best_variant(kernels::lookup_variants(), isa).kernel) {
  if (table.size() != 256) {
    throw ProgramError("a table has " + std::to_string(table.size()) + " entries, expected 256");
  }
  std::ranges::copy(table, table_.as<std::uint8_t>());
}

void Lookup::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& out = invocation.output;
  for_each_run({x, out}, invocation.part, invocation.parts, [&](const PixelRun& run) {
    look_up({.rows = run.pixels,
             .count = run.bytes,
             .x = x.u8() + run.offset_in(x),
             .x_stride = x.pixel_pitch,
             .out = out.u8() + run.offset_in(out),
             .out_stride = out.pixel_pitch});
  });
}

}  // namespace smidgen::ops
