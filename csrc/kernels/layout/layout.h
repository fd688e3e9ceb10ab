#pragma once

#include <cstddef>
#include <cstdint>

// out[j][i] = x[i][j], the step between planes of a channel and pixels of all channels.

namespace smidgen::kernels {

/// x: [rows][columns], rows x_stride bytes apart; out: [columns][rows], rows out_stride bytes
/// apart, never part of x. Kernels read and write exactly these bytes.
struct Transposition {
  std::ptrdiff_t rows;
  std::ptrdiff_t columns;
  const std::uint8_t* x;
  std::ptrdiff_t x_stride;
  std::uint8_t* out;
  std::ptrdiff_t out_stride;
};

using TransposeKernel = void (*)(const Transposition& transposition) noexcept;

void u8_transpose_portable(const Transposition& transposition) noexcept;
void u8_transpose_avx2(const Transposition& transposition) noexcept;

}  // namespace smidgen::kernels
