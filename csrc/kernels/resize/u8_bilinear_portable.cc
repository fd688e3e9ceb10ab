#include "kernels/resize/resize.h"

namespace smidgen::kernels {

void u8_bilinear_portable(const BilinearRow& row) noexcept {
  constexpr std::int32_t kWhole = 1 << kBilinearBits;
  for (std::ptrdiff_t i = 0; i < row.pixels; ++i) {
    const BilinearColumn& column = row.columns[i];
    const std::uint8_t* const pixels[4] = {row.upper + column.first, row.upper + column.second,
                                           row.lower + column.first, row.lower + column.second};
    const std::int32_t weights[4] = {
        (kWhole - row.weight) * (kWhole - column.weight), (kWhole - row.weight) * column.weight,
        row.weight * (kWhole - column.weight), row.weight * column.weight};
    std::uint8_t* out = row.out + i * row.out_stride;
    for (std::ptrdiff_t c = 0; c < row.channels; ++c) {
      std::int32_t total = 1 << (2 * kBilinearBits - 1);
      for (int pixel = 0; pixel < 4; ++pixel) total += pixels[pixel][c] * weights[pixel];
      out[c] = static_cast<std::uint8_t>(total >> (2 * kBilinearBits));
    }
  }
}

}  // namespace smidgen::kernels
