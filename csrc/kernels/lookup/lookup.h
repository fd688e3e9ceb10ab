#pragma once

#include <cstddef>
#include <cstdint>

// out[i] = table[x[i]], with 256 entries.

namespace smidgen::kernels {

/// Rows of values with strides in bytes between them. Exactly `rows` times `count` bytes of each
/// array are read or written; `out` may be the same rows as `x`.
struct LookupRows {
  std::ptrdiff_t rows;
  std::ptrdiff_t count;
  const std::uint8_t* x;
  std::ptrdiff_t x_stride;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;
};

using LookupKernel = void (*)(const LookupRows& rows, const std::uint8_t* table) noexcept;

void u8_lookup_portable(const LookupRows& rows, const std::uint8_t* table) noexcept;
void u8_lookup_avx2(const LookupRows& rows, const std::uint8_t* table) noexcept;
void u8_lookup_avx512vbmi(const LookupRows& rows, const std::uint8_t* table) noexcept;

}  // namespace smidgen::kernels
