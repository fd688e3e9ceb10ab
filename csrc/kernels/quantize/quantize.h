#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/output_range.h"

// Between float32 and uint8; see OutputRange, NaN gives `low`:
//
//   quantize:    out[i] = round_and_clamp(x[i] / scale)
//
//   dequantize:  out[i] = float(x[i] - zero_point) * scale
//
// Scales lie in [2^-60, 2^60].

namespace smidgen::kernels {

/// How quantize makes integers of floats.
struct QuantizeScale {
  float scale;
  OutputRange range;
};

/// Reads and writes exactly `count` contiguous elements.
using QuantizeKernel = void (*)(std::ptrdiff_t count, const float* x, const QuantizeScale& scale,
                                std::uint8_t* out) noexcept;

/// Quantizes three planes, such as those of an image's colours, to pixels of three bytes: exactly
/// `count` floats at x, at x + plane_stride and at x + 2 * plane_stride; 3 * count bytes.
using QuantizePlanesKernel = void (*)(std::ptrdiff_t count, const float* x,
                                      std::ptrdiff_t plane_stride, const QuantizeScale& scale,
                                      std::uint8_t* out) noexcept;

/// Reads and writes exactly `count` contiguous elements.
using DequantizeKernel = void (*)(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                                  std::int32_t zero_point, float* out) noexcept;

void f32_qu8_quantize_portable(std::ptrdiff_t count, const float* x, const QuantizeScale& scale,
                               std::uint8_t* out) noexcept;
void f32_qu8_quantize_3_planes_portable(std::ptrdiff_t count, const float* x,
                                        std::ptrdiff_t plane_stride, const QuantizeScale& scale,
                                        std::uint8_t* out) noexcept;
void qu8_f32_dequantize_portable(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                                 std::int32_t zero_point, float* out) noexcept;

void f32_qu8_quantize_avx2(std::ptrdiff_t count, const float* x, const QuantizeScale& scale,
                           std::uint8_t* out) noexcept;
void f32_qu8_quantize_3_planes_avx2(std::ptrdiff_t count, const float* x,
                                    std::ptrdiff_t plane_stride, const QuantizeScale& scale,
                                    std::uint8_t* out) noexcept;
void qu8_f32_dequantize_avx2(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                             std::int32_t zero_point, float* out) noexcept;

void f32_qu8_quantize_avx512vnni(std::ptrdiff_t count, const float* x, const QuantizeScale& scale,
                                 std::uint8_t* out) noexcept;
void f32_qu8_quantize_3_planes_avx512vnni(std::ptrdiff_t count, const float* x,
                                          std::ptrdiff_t plane_stride, const QuantizeScale& scale,
                                          std::uint8_t* out) noexcept;
void qu8_f32_dequantize_avx512vnni(std::ptrdiff_t count, const std::uint8_t* x, float scale,
                                   std::int32_t zero_point, float* out) noexcept;

}  // namespace smidgen::kernels
