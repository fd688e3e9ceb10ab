#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <limits>
#include <span>
#include <string>

namespace smidgen {

using Index = std::ptrdiff_t;

inline constexpr int kMaxRank = 8;

/// Logical extents of a tensor, outermost first: [N, C, H, W] or [N, C] or any other up to
/// kMaxRank.
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<Index> extents)
      : Shape(std::span<const Index>(extents.begin(), extents.size())) {}
  explicit Shape(std::span<const Index> extents);

  int rank() const { return rank_; }
  Index operator[](int axis) const { return extents_[static_cast<std::size_t>(axis)]; }

  /// Number of elements. Throws TensorError if an extent is below 1 or the product is beyond 2^40.
  Index element_count() const;

  std::string to_string() const;

  bool operator==(const Shape&) const = default;

 private:
  std::array<Index, kMaxRank> extents_{};
  int rank_ = 0;
};

/// The shape with another extent of one axis.
Shape with_extent(const Shape& shape, int axis, Index extent);

/// The product of two counts, or the largest Index where that does not hold it.
constexpr Index saturating_product(Index a, Index b) {
  Index product = 0;
  return __builtin_mul_overflow(a, b, &product) ? std::numeric_limits<Index>::max() : product;
}

/// The sum of two counts, or the largest Index where that does not hold it.
constexpr Index saturating_sum(Index a, Index b) {
  Index sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<Index>::max() : sum;
}

constexpr Index round_up(Index value, Index multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

constexpr Index ceil_div(Index value, Index divisor) { return (value + divisor - 1) / divisor; }

}  // namespace smidgen
