#pragma once

#include <cstddef>
#include <cstdint>

// Pixels between four others, with weights of 11 bits along each axis:
//
//   out[c] = (sum of x[c] * row weight * column weight + 2^21) >> 22
//
// over the pixels (upper, first), (upper, second), (lower, first), (lower, second), where the
// weights of upper rows and first columns are 2^11 less those of lower rows and second columns.

namespace smidgen::kernels {

inline constexpr int kBilinearBits = 11;

/// Where in a row of the input a pixel of the output lies.
struct BilinearColumn {
  std::ptrdiff_t first;  // bytes from the row's start
  std::ptrdiff_t second;
  std::int32_t weight;  // of the second, 0 to 2^11
};

/// A row of the output. Kernels read and write exactly `channels` bytes a pixel.
struct BilinearRow {
  const std::uint8_t* upper;
  const std::uint8_t* lower;
  std::int32_t weight;  // of the lower, 0 to 2^11
  const BilinearColumn* columns;
  std::ptrdiff_t pixels;
  std::ptrdiff_t channels;
  std::uint8_t* out;  // never part of the input
  std::ptrdiff_t out_stride;
};

using BilinearKernel = void (*)(const BilinearRow& row) noexcept;

void u8_bilinear_portable(const BilinearRow& row) noexcept;
void u8_bilinear_avx2(const BilinearRow& row) noexcept;
void u8_bilinear_avx512vnni(const BilinearRow& row) noexcept;

}  // namespace smidgen::kernels
