#include "kernels/lookup/lookup.h"

namespace smidgen::kernels {

void u8_lookup_portable(const LookupRows& rows, const std::uint8_t* table) noexcept {
  for (std::ptrdiff_t row = 0; row < rows.rows; ++row) {
    const std::uint8_t* x = rows.x + row * rows.x_stride;
    std::uint8_t* out = rows.out + row * rows.out_stride;
    for (std::ptrdiff_t i = 0; i < rows.count; ++i) out[i] = table[x[i]];
  }
}

}  // namespace smidgen::kernels
