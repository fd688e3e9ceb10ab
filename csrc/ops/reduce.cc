#include "ops/reduce.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/float32/registry.h"
#include "kernels/select.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {
namespace {

void check(const ReducedAxes& reduced) {
  const bool ascends = std::ranges::is_sorted(reduced.axes, std::less_equal<int>());
  if (reduced.axes.empty() || !ascends || reduced.axes.front() < 0 ||
      reduced.axes.back() >= kMaxRank) {
    throw ProgramError("the axes of a reduction must ascend from 0");
  }
}

bool has_axis(const ReducedAxes& reduced, int axis) {
  return std::ranges::find(reduced.axes, axis) != reduced.axes.end();
}

Shape reduced_shape(const Shape& x, const ReducedAxes& reduced) {
  if (reduced.axes.back() >= x.rank()) {
    throw TensorError("the input has shape " + x.to_string() + ", which has no axis " +
                      std::to_string(reduced.axes.back()));
  }
  std::vector<Index> extents;
  for (int axis = 0; axis < x.rank(); ++axis) {
    if (!has_axis(reduced, axis)) {
      extents.push_back(x[axis]);
    } else if (reduced.keep_dims) {
      extents.push_back(1);
    }
  }
  return Shape(std::span<const Index>(extents));
}

/// How many values fall together.
Index row_length(const Shape& x, const ReducedAxes& reduced) {
  Index count = 1;
  for (const int axis : reduced.axes) count *= x[axis];
  return count;
}

bool are_last(const Shape& x, const ReducedAxes& reduced) {
  return reduced.axes.front() == x.rank() - static_cast<int>(reduced.axes.size());
}

/// Where the axes that fall together, or those that stay, begin: for each place, in row-major
/// order, visit(element offset) is called until it returns false.
class Walk {
 public:
  Walk(const Shape& x, const ReducedAxes& reduced, bool over_reduced) {
    Index stride = 1;
    for (int axis = x.rank() - 1; axis >= 0; --axis) {
      if (has_axis(reduced, axis) == over_reduced) {
        extents_[rank_] = x[axis];
        strides_[rank_++] = stride;
      }
      stride *= x[axis];
    }
  }

  Index offset(Index place) const {
    Index offset = 0;
    for (std::size_t axis = 0; axis < rank_; ++axis) {
      offset += place % extents_[axis] * strides_[axis];
      place /= extents_[axis];
    }
    return offset;
  }

 private:
  std::array<Index, kMaxRank> extents_{};  // innermost first
  Strides strides_{};
  std::size_t rank_ = 0;
};

constexpr Index kRowsTogether = 16;  // so that each cache line is read once

}  // namespace

Reduce::Reduce(kernels::RowFunction function, ReducedAxes reduced, Isa isa)
    : function_(function),
      reduced_(std::move(reduced)),
      kernel_(kernels::best_variant(kernels::reduce_variants(), isa).kernel) {
  check(reduced_);
}

Shape Reduce::output_shape(std::span<const Shape> inputs) const {
  return reduced_shape(inputs[0], reduced_);
}

Index Reduce::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), 4);
}

Index Reduce::scratch_bytes(std::span<const Shape> inputs) const {
  if (are_last(inputs[0], reduced_)) return 0;
  const Index row = saturating_product(row_length(inputs[0], reduced_), sizeof(float));
  return saturating_product(row, kRowsTogether);
}

void Reduce::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  float* out = invocation.output.f32();
  const Index length = row_length(x.shape, reduced_);
  const Range mine = partition(invocation.output.shape.element_count(), kRowsTogether,
                               invocation.part, invocation.parts);
  if (are_last(x.shape, reduced_)) {
    kernel_({function_, mine.end - mine.begin, length, x.f32() + mine.begin * length,
             out + mine.begin});
    return;
  }
  const Walk rows(x.shape, reduced_, false);
  const Walk columns(x.shape, reduced_, true);
  auto* gathered = reinterpret_cast<float*>(invocation.scratch);
  for (Index first = mine.begin; first < mine.end; first += kRowsTogether) {
    const Index count = std::min(kRowsTogether, mine.end - first);
    std::array<Index, kRowsTogether> starts{};
    for (Index row = 0; row < count; ++row) {
      starts[static_cast<std::size_t>(row)] = rows.offset(first + row);
    }
    for (Index column = 0; column < length; ++column) {
      const Index offset = columns.offset(column);
      for (Index row = 0; row < count; ++row) {
        gathered[row * length + column] = x.f32()[starts[static_cast<std::size_t>(row)] + offset];
      }
    }
    kernel_({function_, count, length, gathered, out + first});
  }
}

ArgMax::ArgMax(ReducedAxes reduced) : reduced_(std::move(reduced)) { check(reduced_); }

Shape ArgMax::output_shape(std::span<const Shape> inputs) const {
  return reduced_shape(inputs[0], reduced_);
}

Index ArgMax::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), 4);
}

void ArgMax::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const Walk rows(x.shape, reduced_, false);
  const Walk columns(x.shape, reduced_, true);
  const Index length = row_length(x.shape, reduced_);
  const Range mine =
      partition(invocation.output.shape.element_count(), 1, invocation.part, invocation.parts);
  for (Index row = mine.begin; row < mine.end; ++row) {
    const float* first = x.f32() + rows.offset(row);
    Index best = 0;
    float largest = *first;
    for (Index i = 1; i < length && !std::isnan(largest); ++i) {
      const float value = first[columns.offset(i)];
      if (value > largest || std::isnan(value)) {
        best = i;
        largest = value;
      }
    }
    invocation.output.i64()[row] = best;
  }
}

}  // namespace smidgen::ops
