#include "kernels/lookup/lookup.h"

namespace smidgen::kernels {

void u8_lookup_portable(std::ptrdiff_t count, const std::uint8_t* x, const std::uint8_t* table,
                        std::uint8_t* out) noexcept {
  for (std::ptrdiff_t i = 0; i < count; ++i) out[i] = table[x[i]];
}

}  // namespace smidgen::kernels
