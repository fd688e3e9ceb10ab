#include "kernels/pool/pool.h"

namespace smidgen::kernels {
namespace {

void find_maximum(const PoolRun& run, const std::uint8_t* x, std::uint8_t* out) {
  for (std::ptrdiff_t c = 0; c < run.channels; ++c) out[c] = 0;
  for (std::ptrdiff_t row = 0; row < run.rows; ++row) {
    for (std::ptrdiff_t column = 0; column < run.columns; ++column) {
      const std::uint8_t* pixel = x + row * run.row_stride + column * run.column_stride;
      for (std::ptrdiff_t c = 0; c < run.channels; ++c) {
        out[c] = pixel[c] > out[c] ? pixel[c] : out[c];
      }
    }
  }
}

}  // namespace

void u8_maximum_portable(const PoolRun& run) noexcept {
  for (std::ptrdiff_t window = 0; window < run.windows; ++window) {
    find_maximum(run, run.x + window * run.window_stride, run.out + window * run.out_stride);
  }
}

}  // namespace smidgen::kernels
