#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/shape.h"
#include "kernels/output_range.h"

namespace smidgen::ops {

/// Pixels around an image, in memory, that hold the tensor's zero point.
struct Border {
  Index top = 0;
  Index left = 0;
  Index bottom = 0;
  Index right = 0;

  bool contains(const Border& other) const {
    return top >= other.top && left >= other.left && bottom >= other.bottom && right >= other.right;
  }
  bool operator==(const Border&) const = default;
};

/// A tensor in memory. uint8 tensors of rank 4 have the logical shape [N, C, H, W] and lie as
/// [N][H][W][C] with the pitches given; all others lie row-major in their logical shape, without
/// gaps. Readable kSlack bytes behind the end.
///
/// Pitches beyond the extents come from two sources: a border, which the engine fills before any
/// step reads the tensor, and a tensor that is a slice of the channels of a wider one.
struct TensorView {
  Shape shape;
  std::byte* data = nullptr;  // channel 0 of pixel (0, 0) of image 0, behind the border
  Index pixel_pitch = 0;      // bytes from one pixel of a row to the next; rank 4 uint8 only
  Index row_pitch = 0;        // bytes from one row of pixels to the next
  Index image_pitch = 0;      // bytes from one image to the next
  Border border{};            // readable through the pitches, on all sides of each image

  std::uint8_t* u8() const { return reinterpret_cast<std::uint8_t*>(data); }
  float* f32() const { return reinterpret_cast<float*>(data); }
  std::int64_t* i64() const { return reinterpret_cast<std::int64_t*>(data); }

  /// Channel 0 of a pixel; coordinates may reach into the border.
  std::uint8_t* pixel(Index image, Index y, Index x) const {
    return u8() + image * image_pitch + y * row_pitch + x * pixel_pitch;
  }

  /// Tells whether the values lie without gaps, so that they may be taken as one row.
  bool is_dense() const;
};

/// A view without gaps. Only the pitches of rank 4 views are ever used.
TensorView dense_view(const Shape& shape, std::byte* data);

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

class Add;
class Lookup;
class Quantize;

/// What follows a step and is done on its output while that is still in the cache: the steps that
/// the planner has fused into it, in this order. The bytes are those of the steps one by one.
struct Epilogue {
  const Lookup* lookup = nullptr;
  const Add* add = nullptr;
  TensorView addend{};           // the other operand of `add`; of the output's shape
  bool is_addend_first = false;  // whether the addend is the left operand
  const Quantize* quantize = nullptr;
  TensorView quantized{};  // where `quantize` writes; the output is written as well

  bool is_empty() const { return lookup == nullptr && add == nullptr && quantize == nullptr; }
};

/// One part of a step, and what to do it with. Parts differ in what they write and may run at the
/// same time.
struct Invocation {
  std::span<const TensorView> inputs;
  TensorView output;
  const Epilogue& epilogue;  // empty unless the operator can_fuse it
  std::byte* scratch;        // scratch_bytes() that no other part uses meanwhile, aligned
  int part;                  // which: 0 to parts - 1
  int parts;
  int candidate;  // which of the operator's ways to do it; see Operator::candidate_count
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

  /// Whether inputs and output of rank 4 may have gaps. Without it all of them are dense.
  virtual bool takes_pitches() const { return false; }

  /// The border with which input `index` is read fastest. The input may come without it; a border
  /// is never a duty.
  virtual Border wanted_border(int index) const {
    (void)index;
    return {};
  }

  /// Whether run() can do these steps on its output.
  virtual bool can_fuse(const Epilogue& epilogue) const { return epilogue.is_empty(); }

  /// Whether run() takes two float32 inputs of the output's shape in the place of its only one, and
  /// adds them up first.
  virtual bool can_add_inputs() const { return false; }

  /// Whether the output, of the first input's shape and type, may lie where that does.
  virtual bool can_overwrite_input() const { return false; }

  /// The ways in which run() can do inputs of these shapes in so many parts, all with the same
  /// bytes, the one that should be the fastest first. The planner times the first few and keeps the
  /// best.
  virtual int candidate_count(std::span<const Shape> inputs, int parts) const {
    (void)inputs;
    (void)parts;
    return 1;
  }

  /// Whether each sample of the output, along axis 0, depends on the same sample of the inputs
  /// alone, for inputs that have as many.
  virtual bool keeps_samples_apart() const { return false; }

  /// What decides which candidate is the fastest, beside the inputs' shapes: the operator's kind
  /// and geometry. Empty if no other operator shares it.
  virtual std::string signature() const { return {}; }

  /// Whether its bytes stay the same on a CPU that takes floats below 2^-126 for zero.
  virtual bool ignores_subnormals() const { return false; }

  /// Does one part. The shapes are those that output_shape accepted, so nothing can
  /// fail.
  virtual void run(const Invocation& invocation) const noexcept = 0;
};

/// Throws TensorError unless the shape has the rank.
void expect_rank(const Shape& shape, int rank);

}  // namespace smidgen::ops
