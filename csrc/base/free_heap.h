#pragma once

namespace smidgen {

/// Gives memory that the heap holds and nobody uses back to the system, where that can be asked
/// for. Reading and packing weights frees arrays as large as these, which the heap may keep.
void return_free_heap() noexcept;

}  // namespace smidgen
