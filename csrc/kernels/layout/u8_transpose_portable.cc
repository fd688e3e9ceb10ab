#include "kernels/layout/layout.h"

namespace smidgen::kernels {
namespace {

/// A block of source and target lines stays in the first-level cache.
constexpr std::ptrdiff_t kBlock = 16;

std::ptrdiff_t smaller(std::ptrdiff_t a, std::ptrdiff_t b) { return a < b ? a : b; }

/// Few rows, such as the channels of an image: each output line is written at once.
template <int kRows>
void transpose_few(const Transposition& t) {
  for (std::ptrdiff_t j = 0; j < t.columns; ++j) {
    for (int i = 0; i < kRows; ++i) t.out[j * t.out_stride + i] = t.x[i * t.x_stride + j];
  }
}

}  // namespace

void u8_transpose_portable(const Transposition& t) noexcept {
  if (t.rows == 3) return transpose_few<3>(t);
  if (t.rows == 4) return transpose_few<4>(t);
  for (std::ptrdiff_t row = 0; row < t.rows; row += kBlock) {
    const std::ptrdiff_t last_row = smaller(row + kBlock, t.rows);
    for (std::ptrdiff_t column = 0; column < t.columns; column += kBlock) {
      const std::ptrdiff_t last_column = smaller(column + kBlock, t.columns);
      for (std::ptrdiff_t j = column; j < last_column; ++j) {
        for (std::ptrdiff_t i = row; i < last_row; ++i) {
          t.out[j * t.out_stride + i] = t.x[i * t.x_stride + j];
        }
      }
    }
  }
}

}  // namespace smidgen::kernels
