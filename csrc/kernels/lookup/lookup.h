#pragma once

#include <cstddef>
#include <cstdint>

// out[i] = table[x[i]], with 256 entries.

namespace smidgen::kernels {

/// Reads and writes exactly `count` bytes.
using LookupKernel = void (*)(std::ptrdiff_t count, const std::uint8_t* x,
                              const std::uint8_t* table, std::uint8_t* out) noexcept;

void u8_lookup_portable(std::ptrdiff_t count, const std::uint8_t* x, const std::uint8_t* table,
                        std::uint8_t* out) noexcept;
void u8_lookup_avx2(std::ptrdiff_t count, const std::uint8_t* x, const std::uint8_t* table,
                    std::uint8_t* out) noexcept;

}  // namespace smidgen::kernels
