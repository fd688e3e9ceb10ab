#pragma once

#include <cstddef>
#include <cstdint>

// float32 arithmetic, to the bit that of smidgen.functional: every operation is rounded once, in
// the order in which it is written there. Sums, maxima and minima go through 16 lanes:
//
//   lane[j] = start; for i in order: lane[i % 16] = combine(x[i], lane[i % 16])
//   for width 8, 4, 2, 1: lane[j] = combine(lane[j + width], lane[j]) for j < width
//
// so that a vector of 16, two of 8 and plain code agree.
//
// Kernels read and write exactly the elements that their arguments count: callers' arrays have no
// slack.

namespace smidgen::kernels {

enum class UnaryFunction : std::uint8_t {
  kAbs,
  kClamp,
  kCube,
  kElu,
  kErf,
  kExp,
  kFloor,
  kGelu,
  kGeluTanh,
  kHardsigmoid,
  kHardswish,
  kLeakyRelu,
  kLog,
  kMish,
  kNeg,
  kReciprocal,
  kRelu,
  kRound,
  kRsqrt,
  kSigmoid,
  kSilu,
  kSoftplus,
  kSqrt,
  kSquare,
  kTanh,
};

/// out[i] = f(x[i]). x and out may be the same array.
struct UnaryArrays {
  UnaryFunction function;
  std::ptrdiff_t count;
  const float* x;
  const float* parameters;  // two
  float* out;
};

using UnaryKernel = void (*)(const UnaryArrays& arrays) noexcept;

void f32_unary_portable(const UnaryArrays& arrays) noexcept;
void f32_unary_avx2(const UnaryArrays& arrays) noexcept;
void f32_unary_avx512vnni(const UnaryArrays& arrays) noexcept;

enum class BinaryFunction : std::uint8_t { kAdd, kSub, kMul, kDiv, kMinimum, kMaximum };

/// out[i] = f(lhs[i], rhs[i]), where an operand with step 0 has one value for all i.
struct BinaryArrays {
  BinaryFunction function;
  std::ptrdiff_t count;
  const float* lhs;
  const float* rhs;
  std::ptrdiff_t lhs_step;  // 0 or 1
  std::ptrdiff_t rhs_step;  // 0 or 1
  float* out;
};

using BinaryKernel = void (*)(const BinaryArrays& arrays) noexcept;

void f32_binary_portable(const BinaryArrays& arrays) noexcept;
void f32_binary_avx2(const BinaryArrays& arrays) noexcept;
void f32_binary_avx512vnni(const BinaryArrays& arrays) noexcept;

enum class RowFunction : std::uint8_t { kSum, kMean, kMaximum, kMinimum };

/// out[i] = f(x[i][0], ..., x[i][count - 1]).
struct ReducedRows {
  RowFunction function;
  std::ptrdiff_t rows;
  std::ptrdiff_t count;
  const float* x;
  float* out;
};

using ReduceKernel = void (*)(const ReducedRows& rows) noexcept;

void f32_reduce_portable(const ReducedRows& rows) noexcept;
void f32_reduce_avx2(const ReducedRows& rows) noexcept;
void f32_reduce_avx512vnni(const ReducedRows& rows) noexcept;

/// out[i][j] = e[j] * (1 / sum(e)) with e[j] = exp(x[i][j] - max(x[i])). x and out may be the same.
struct SoftmaxRows {
  std::ptrdiff_t rows;
  std::ptrdiff_t count;
  const float* x;
  float* out;
};

using SoftmaxKernel = void (*)(const SoftmaxRows& rows) noexcept;

void f32_softmax_portable(const SoftmaxRows& rows) noexcept;
void f32_softmax_avx2(const SoftmaxRows& rows) noexcept;
void f32_softmax_avx512vnni(const SoftmaxRows& rows) noexcept;

/// out[i][j] = d[j] * (1 / sqrt(mean(d * d) + epsilon)) * weight[j] + bias[j] with
/// d[j] = y[j] - mean(y) and y[j] = x[i][j] + addend[i][j]; addend, weight and bias may each be
/// null. x, addend and out may be the same.
struct LayerNormRows {
  std::ptrdiff_t rows;
  std::ptrdiff_t count;
  const float* x;
  const float* addend;
  const float* weight;
  const float* bias;
  float epsilon;
  float* out;
};

using LayerNormKernel = void (*)(const LayerNormRows& rows) noexcept;

void f32_layer_norm_portable(const LayerNormRows& rows) noexcept;
void f32_layer_norm_avx2(const LayerNormRows& rows) noexcept;
void f32_layer_norm_avx512vnni(const LayerNormRows& rows) noexcept;

/// out[i][j] = sum over k in order of a[i][k] * b[k][j], one product, then one sum, from 0.
///
/// One tile of at most mr x nr outputs.
struct MatMulTile {
  std::ptrdiff_t m;  // 1 to mr
  std::ptrdiff_t n;  // 1 to nr
  std::ptrdiff_t k;
  const float* a;
  std::ptrdiff_t a_stride;  // elements between rows
  const float* b;
  std::ptrdiff_t b_stride;
  float* out;
  std::ptrdiff_t out_stride;
};

using MatMulKernel = void (*)(const MatMulTile& tile) noexcept;

void f32_matmul_4x16_portable(const MatMulTile& tile) noexcept;
void f32_matmul_6x16_avx2(const MatMulTile& tile) noexcept;
void f32_matmul_6x64_avx512vnni(const MatMulTile& tile) noexcept;

/// out[i][j] = (sum over t in order of weight[t] * x[offsets[t] + i * x_stride + j]) + bias, one
/// product, then one sum, from 0. x and out do not overlap.
struct FloatDepthwiseRows {
  std::ptrdiff_t rows;
  std::ptrdiff_t count;  // outputs of a row
  std::ptrdiff_t taps;
  const float* x;
  std::ptrdiff_t x_stride;        // elements between what neighbouring rows read
  const std::ptrdiff_t* offsets;  // [taps]
  const float* weight;            // [taps]
  float bias;
  float* out;
  std::ptrdiff_t out_stride;
};

using FloatDepthwiseKernel = void (*)(const FloatDepthwiseRows& rows) noexcept;

void f32_depthwise_2x16_portable(const FloatDepthwiseRows& rows) noexcept;
void f32_depthwise_4x16_avx2(const FloatDepthwiseRows& rows) noexcept;
void f32_depthwise_8x16_avx512vnni(const FloatDepthwiseRows& rows) noexcept;

/// out[j] = float(row[j]) * scale.
using ScaleRowKernel = void (*)(std::ptrdiff_t count, const std::int8_t* row, float scale,
                                float* out) noexcept;

void s8_f32_scale_row_portable(std::ptrdiff_t count, const std::int8_t* row, float scale,
                               float* out) noexcept;
void s8_f32_scale_row_avx2(std::ptrdiff_t count, const std::int8_t* row, float scale,
                           float* out) noexcept;

}  // namespace smidgen::kernels
