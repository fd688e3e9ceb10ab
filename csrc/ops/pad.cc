#include "ops/pad.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {

Pad::Pad(Pads pads, std::uint64_t value, DType dtype)
    : pads_(std::move(pads)), value_(value), dtype_(dtype) {
  constexpr Index kMost = 1 << 12;
  const bool is_valid = std::ranges::all_of(pads_, [](const std::array<Index, 2>& pad) {
    return std::ranges::all_of(pad, [](Index n) { return n >= 0 && n <= kMost; });
  });
  if (!is_valid || pads_.size() > kMaxRank) {
    throw ProgramError("pads must be 0 to " + std::to_string(kMost) + " along each axis");
  }
}

Shape Pad::output_shape(std::span<const Shape> inputs) const {
  expect_rank(inputs[0], static_cast<int>(pads_.size()));
  std::vector<Index> extents;
  for (int axis = 0; axis < inputs[0].rank(); ++axis) {
    const auto [before, behind] = pads_[static_cast<std::size_t>(axis)];
    extents.push_back(before + inputs[0][axis] + behind);
  }
  return Shape(std::span<const Index>(extents));
}

Index Pad::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(), 2);
}

void Pad::run(const Invocation& invocation) const noexcept {
  if (invocation.part != 0) return;  // the whole is filled before the middle is copied
  const TensorView& x = invocation.inputs[0];
  const TensorView& out = invocation.output;
  const Strides to = byte_strides(out, dtype_);
  std::uint64_t value = value_;
  copy_strided(out.shape, size_of(dtype_), {reinterpret_cast<std::byte*>(&value), Strides{}},
               {out.data, to}, 0, 1);
  Index origin = 0;
  for (std::size_t axis = 0; axis < pads_.size(); ++axis) origin += pads_[axis][0] * to[axis];
  copy_strided(x.shape, size_of(dtype_), {x.data, byte_strides(x, dtype_)}, {out.data + origin, to},
               0, 1);
}

}  // namespace smidgen::ops
