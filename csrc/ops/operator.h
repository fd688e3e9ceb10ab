#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/shape.h"
#include "kernels/output_range.h"

namespace smidgen::ops {

/// A tensor in memory. uint8 tensors of rank 4 have the logical shape [N, C, H, W] and lie as
/// [N][H][W][C]; all others lie row-major in their logical shape. Readable kSlack bytes behind the
/// end.
struct TensorView {
  Shape shape;
  std::byte* data = nullptr;

  std::uint8_t* u8() const { return reinterpret_cast<std::uint8_t*>(data); }
  float* f32() const { return reinterpret_cast<float*>(data); }
};

/// real = scale * (q - zero_point).
struct Quantization {
  float scale = 1.0F;
  std::int32_t zero_point = 0;
};

struct Clamp {
  std::int32_t qmin = 0;
  std::int32_t qmax = 255;
};

kernels::OutputRange output_range(const Quantization& output, const Clamp& clamp);

/// One part of a step, and what to do it with. Parts differ in what they write and may run at the
/// same time.
struct Invocation {
  std::span<const TensorView> inputs;
  TensorView output;
  std::byte* scratch;  // scratch_bytes() of this part alone, aligned
  int thread;          // which part: 0 to threads - 1
  int threads;
};

/// One step made ready: checked, kernels chosen, weights packed. Immutable, so any number of runs
/// may share it.
class Operator {
 public:
  Operator() = default;
  virtual ~Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  /// Infers the output's shape. Throws TensorError if the inputs do not fit.
  virtual Shape output_shape(std::span<const Shape> inputs) const = 0;

  /// Rough number of byte operations, to decide whether waking threads pays.
  virtual Index work(std::span<const Shape> inputs) const = 0;

  /// Bytes of temporary memory for each part.
  virtual Index scratch_bytes(std::span<const Shape> inputs) const {
    (void)inputs;
    return 0;
  }

  /// Does one part. The shapes are those that output_shape accepted, so nothing can
  /// fail.
  virtual void run(const Invocation& invocation) const noexcept = 0;
};

/// Throws TensorError unless the shape has the rank.
void expect_rank(const Shape& shape, int rank);

}  // namespace smidgen::ops
