#include "ops/strided_loop.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace smidgen::ops {
namespace {

std::size_t at(int axis) { return static_cast<std::size_t>(axis); }

constexpr Index kGrain = 64;  // values that one thread takes at least

template <typename T>
void copy_run(const std::byte* from, Index from_step, std::byte* to, Index to_step, Index count) {
  for (Index i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, from + i * from_step, sizeof(T));
    std::memcpy(to + i * to_step, &value, sizeof(T));
  }
}

}  // namespace

Strides byte_strides(const TensorView& tensor, DType dtype) {
  const Shape& shape = tensor.shape;
  if (dtype == DType::kUInt8 && shape.rank() == 4) {
    return {tensor.image_pitch, 1, tensor.row_pitch, tensor.pixel_pitch};
  }
  Strides strides{};
  Index stride = size_of(dtype);
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[at(axis)] = stride;
    stride *= shape[axis];
  }
  return strides;
}

Strides broadcast_strides(const Shape& shape, const Shape& out) {
  Strides strides{};
  Index stride = 1;
  const int missing = out.rank() - shape.rank();
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[at(axis + missing)] = shape[axis] == 1 ? 0 : stride;
    stride *= shape[axis];
  }
  return strides;
}

Shape broadcast(const Shape& lhs, const Shape& rhs) {
  const int rank = std::max(lhs.rank(), rhs.rank());
  const auto extent = [rank](const Shape& shape, int axis) {
    const int own = axis - (rank - shape.rank());
    return own < 0 ? 1 : shape[own];
  };
  std::array<Index, kMaxRank> extents{};
  for (int axis = 0; axis < rank; ++axis) {
    const Index left = extent(lhs, axis);
    const Index right = extent(rhs, axis);
    if (left != right && left != 1 && right != 1) {
      throw TensorError("shapes " + lhs.to_string() + " and " + rhs.to_string() +
                        " cannot be broadcast");
    }
    extents[at(axis)] = left == 1 ? right : left;
  }
  return Shape(std::span<const Index>(extents.data(), at(rank)));
}

void copy_strided(const Shape& shape, Index size, const StridedBytes& from, const StridedBytes& to,
                  int part, int parts) noexcept {
  const StridedLoop<2> loop(shape, {from.strides, to.strides});
  const auto [from_step, to_step] = loop.steps();
  const Range mine = partition(loop.count(), kGrain, part, parts);
  loop.run(mine, [&, from_step = from_step, to_step = to_step](const std::array<Index, 2>& offsets,
                                                               Index count) {
    const std::byte* x = from.data + offsets[0];
    std::byte* out = to.data + offsets[1];
    if (from_step == size && to_step == size) {
      std::memcpy(out, x, static_cast<std::size_t>(count * size));
    } else if (size == 1) {
      copy_run<std::uint8_t>(x, from_step, out, to_step, count);
    } else if (size == 4) {
      copy_run<std::uint32_t>(x, from_step, out, to_step, count);
    } else {
      copy_run<std::uint64_t>(x, from_step, out, to_step, count);
    }
  });
}

}  // namespace smidgen::ops
