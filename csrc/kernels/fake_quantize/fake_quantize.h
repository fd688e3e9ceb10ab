#pragma once

#include <cstddef>
#include <cstdint>

// What training does in place of quantizing: rounds floats to those that integers can hold, and
// keeps one bit of each for the gradient, which passes where nothing was clamped.
//
//   fake_quantize:  y = min(max(x, least), most), where a NaN stays one
//                   t = y / scale
//                   b = min(max(t, low), high), where a NaN becomes `low`
//                   out = float(round_half_even(b)) * scale
//                   bit = y == x && b == t && x != blocked
//
//   pass_gradient:  out = bit ? gradient : 0
//
//   value_range:    the smallest and the largest value, both NaN if there is a NaN
//
// Bits lie eight to a byte, the first one lowest; those behind the last value are 0.

namespace smidgen::kernels {

/// How floats are rounded.
struct FakeQuantizeRange {
  float scale;    // in [2^-60, 2^60]
  float low;      // the smallest integer, in [-255, 0]
  float high;     // the largest integer, in [0, 255]
  float least;    // the clamp before quantization, may be -inf
  float most;     // may be +inf
  float blocked;  // a value whose gradient does not pass, 0 for a ReLU; NaN for none
};

struct ValueRange {
  float low;
  float high;
};

/// Reads and writes exactly `count` floats, and ceil(count / 8) bytes of bits. `out` may be `x`.
using FakeQuantizeKernel = void (*)(std::ptrdiff_t count, const float* x,
                                    const FakeQuantizeRange& range, float* out,
                                    std::uint8_t* bits) noexcept;

/// Reads and writes exactly `count` floats. `out` may be `gradient`.
using PassGradientKernel = void (*)(std::ptrdiff_t count, const float* gradient,
                                    const std::uint8_t* bits, float* out) noexcept;

/// Reads exactly `count` floats, at least one.
using ValueRangeKernel = ValueRange (*)(std::ptrdiff_t count, const float* x) noexcept;

void f32_fake_quantize_portable(std::ptrdiff_t count, const float* x,
                                const FakeQuantizeRange& range, float* out,
                                std::uint8_t* bits) noexcept;
void f32_pass_gradient_portable(std::ptrdiff_t count, const float* gradient,
                                const std::uint8_t* bits, float* out) noexcept;
ValueRange f32_value_range_portable(std::ptrdiff_t count, const float* x) noexcept;

void f32_fake_quantize_avx2(std::ptrdiff_t count, const float* x, const FakeQuantizeRange& range,
                            float* out, std::uint8_t* bits) noexcept;
void f32_pass_gradient_avx2(std::ptrdiff_t count, const float* gradient, const std::uint8_t* bits,
                            float* out) noexcept;
ValueRange f32_value_range_avx2(std::ptrdiff_t count, const float* x) noexcept;

void f32_fake_quantize_avx512vnni(std::ptrdiff_t count, const float* x,
                                  const FakeQuantizeRange& range, float* out,
                                  std::uint8_t* bits) noexcept;
void f32_pass_gradient_avx512vnni(std::ptrdiff_t count, const float* gradient,
                                  const std::uint8_t* bits, float* out) noexcept;
ValueRange f32_value_range_avx512vnni(std::ptrdiff_t count, const float* x) noexcept;

}  // namespace smidgen::kernels
