#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Between float32 and uint8, on contiguous arrays; see OutputRange, NaN gives `low`:
//
//   quantize:    out[i] = round_and_clamp(x[i] / scale)
//
//   dequantize:  out[i] = float(x[i] - zero_point) * scale

namespace smidgen::kernels {

/// Reads and writes exactly `count` elements.
using QuantizeKernel = void (*)(std::ptrdiff_t count, const float* x, float scale,
                                const OutputRange& range, std::uint8_t* out) noexcept;
using DequantizeKernel = void (*)(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                                  std::int32_t zero_point, float* out) noexcept;

void f32_qu8_quantize_portable(std::ptrdiff_t count, const float* x, float scale,
                               const OutputRange& range, std::uint8_t* out) noexcept;
void f32_qu8_quantize_avx2(std::ptrdiff_t count, const float* x, float scale,
                           const OutputRange& range, std::uint8_t* out) noexcept;
void qu8_f32_dequantize_portable(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                                 std::int32_t zero_point, float* out) noexcept;
void qu8_f32_dequantize_avx2(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                             std::int32_t zero_point, float* out) noexcept;

}  // namespace smidgen::kernels
