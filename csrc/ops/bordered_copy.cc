#include "ops/bordered_copy.h"

#include <algorithm>
#include <cstring>

namespace smidgen::ops {
namespace {

class Writer {
 public:
  Writer(Index value_bytes, std::uint8_t zero_point, std::uint8_t* out)
      : is_wide_(value_bytes == 2), zero_point_(zero_point), out_(out) {}

  void fill(Index values) {
    if (is_wide_) {
      const std::int16_t wide = zero_point_;
      for (Index i = 0; i < values; ++i) std::memcpy(out_ + 2 * i, &wide, 2);
    } else {
      std::memset(out_, zero_point_, static_cast<std::size_t>(values));
    }
    advance(values);
  }

  void copy(const std::uint8_t* values, Index count) {
    if (is_wide_) {
      widen(values, count, out_);
    } else {
      std::memcpy(out_, values, static_cast<std::size_t>(count));
    }
    advance(count);
  }

 private:
  void advance(Index values) { out_ += is_wide_ ? 2 * values : values; }

  bool is_wide_;
  std::uint8_t zero_point_;
  std::uint8_t* out_;
};

}  // namespace

void widen(const std::uint8_t* values, Index count, std::uint8_t* out) noexcept {
  auto* wide = reinterpret_cast<std::int16_t*>(out);
  for (Index i = 0; i < count; ++i) wide[i] = values[i];
}

void BorderedCopy::write(const TensorView& x, std::uint8_t* out) const noexcept {
  const Index channels = x.shape[1];
  Writer writer(value_bytes, zero_point, out);
  for (Index image = images.begin; image < images.end; ++image) {
    for (Index y = lines.begin; y < lines.end; ++y) {
      if (y < 0 || y >= x.shape[2]) {
        writer.fill((left + x.shape[3] + right) * channels);
        continue;
      }
      writer.fill(left * channels);
      if (x.pixel_pitch == channels) {
        writer.copy(x.pixel(image, y, 0), x.shape[3] * channels);
      } else {
        for (Index at = 0; at < x.shape[3]; ++at) writer.copy(x.pixel(image, y, at), channels);
      }
      writer.fill(right * channels);
    }
  }
}

}  // namespace smidgen::ops
