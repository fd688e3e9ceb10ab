#pragma once

#include <array>
#include <cstddef>

#include "base/dtype.h"
#include "base/partition.h"
#include "ops/operator.h"

namespace smidgen::ops {

using Strides = std::array<Index, kMaxRank>;  // of each axis of a shape

/// How far apart neighbours along each logical axis lie, in bytes.
Strides byte_strides(const TensorView& tensor, DType dtype);

/// The strides of a row-major tensor of this shape as one broadcast to `out`, in elements: 0 along
/// axes that repeat it.
Strides broadcast_strides(const Shape& shape, const Shape& out);

/// The shape of two tensors broadcast against each other. Throws TensorError if they do not fit.
Shape broadcast(const Shape& lhs, const Shape& rhs);

/// A loop over all places of a shape that visits N tensors in step, with as few axes as possible.
template <std::size_t N>
class StridedLoop {
 public:
  /// Axes are taken in the order of falling strides of the last tensor, so that it is walked from
  /// one end to the other.
  StridedLoop(const Shape& shape, const std::array<Strides, N>& strides) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      Axis added{shape[axis], {}};
      for (std::size_t i = 0; i < N; ++i) {
        added.strides[i] = strides[i][static_cast<std::size_t>(axis)];
      }
      if (added.extent > 1) insert(added);
    }
    merge();
    if (rank_ == 0) axes_[static_cast<std::size_t>(rank_++)] = {1, {}};
  }

  Index count() const {
    Index product = 1;
    for (int axis = 0; axis < rank_; ++axis) product *= at(axis).extent;
    return product;
  }

  /// The strides along the innermost axis.
  const std::array<Index, N>& steps() const { return at(rank_ - 1).strides; }

  /// Calls visit(offsets, count) for each run of the innermost axis in a range of places.
  template <typename Visit>
  void run(Range places, const Visit& visit) const {
    if (places.begin >= places.end) return;
    const Index length = at(rank_ - 1).extent;
    std::array<Index, kMaxRank> position{};
    std::array<Index, N> offsets{};
    Index rest = places.begin / length;
    for (int axis = rank_ - 2; axis >= 0; --axis) {
      position[static_cast<std::size_t>(axis)] = rest % at(axis).extent;
      rest /= at(axis).extent;
      advance(offsets, axis, position[static_cast<std::size_t>(axis)]);
    }
    Index first = places.begin % length;
    for (Index place = places.begin; place < places.end;) {
      const Index count = std::min(length - first, places.end - place);
      std::array<Index, N> starts = offsets;
      advance(starts, rank_ - 1, first);
      visit(starts, count);
      place += count;
      first = 0;
      next_line(position, offsets);
    }
  }

 private:
  struct Axis {
    Index extent;
    std::array<Index, N> strides;
  };

  const Axis& at(int axis) const { return axes_[static_cast<std::size_t>(axis)]; }

  void insert(const Axis& added) {
    int place = rank_++;
    for (; place > 0 && at(place - 1).strides[N - 1] < added.strides[N - 1]; --place) {
      axes_[static_cast<std::size_t>(place)] = at(place - 1);
    }
    axes_[static_cast<std::size_t>(place)] = added;
  }

  /// Joins neighbouring axes that all tensors walk as one.
  void merge() {
    int kept = 0;
    for (int axis = 1; axis < rank_; ++axis) {
      Axis& outer = axes_[static_cast<std::size_t>(kept)];
      const Axis& inner = at(axis);
      bool is_one = true;
      for (std::size_t i = 0; i < N; ++i) {
        is_one = is_one && outer.strides[i] == inner.strides[i] * inner.extent;
      }
      if (is_one) {
        outer = {outer.extent * inner.extent, inner.strides};
      } else {
        axes_[static_cast<std::size_t>(++kept)] = inner;
      }
    }
    if (rank_ > 0) rank_ = kept + 1;
  }

  void advance(std::array<Index, N>& offsets, int axis, Index steps) const {
    for (std::size_t i = 0; i < N; ++i) offsets[i] += steps * at(axis).strides[i];
  }

  void next_line(std::array<Index, kMaxRank>& position, std::array<Index, N>& offsets) const {
    for (int axis = rank_ - 2; axis >= 0; --axis) {
      Index& index = position[static_cast<std::size_t>(axis)];
      advance(offsets, axis, 1);
      if (++index < at(axis).extent) return;
      advance(offsets, axis, -index);
      index = 0;
    }
  }

  std::array<Axis, kMaxRank> axes_{};
  int rank_ = 0;
};

/// A tensor, or a part of one, by where it begins and its strides in bytes.
struct StridedBytes {
  std::byte* data;
  Strides strides;
};

/// Copies values of `size` bytes (1, 4 or 8) between two tensors of a shape: part `part` of
/// `parts`.
void copy_strided(const Shape& shape, Index size, const StridedBytes& from, const StridedBytes& to,
                  int part, int parts) noexcept;

}  // namespace smidgen::ops
