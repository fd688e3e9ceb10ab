#include "base/shape.h"

#include <algorithm>

#include "base/error.h"

namespace smidgen {
namespace {

constexpr Index kMaxElements = Index{1} << 40;

}  // namespace

Shape::Shape(std::span<const Index> extents) : rank_(static_cast<int>(extents.size())) {
  if (extents.size() > kMaxRank) {
    throw ProgramError("a tensor has rank " + std::to_string(extents.size()) +
                       ", expected at most " + std::to_string(kMaxRank));
  }
  std::copy(extents.begin(), extents.end(), extents_.begin());
}

Index Shape::element_count() const {
  Index count = 1;
  for (int axis = 0; axis < rank_; ++axis) {
    const Index extent = (*this)[axis];
    if (extent < 1 || extent > kMaxElements / count) {
      throw TensorError("a tensor has shape " + to_string() +
                        ", expected extents of at least 1 and at most 2^40 elements");
    }
    count *= extent;
  }
  return count;
}

std::string Shape::to_string() const {
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string((*this)[axis]);
  }
  return text + "]";
}

Shape with_extent(const Shape& shape, int axis, Index extent) {
  std::array<Index, kMaxRank> extents{};
  for (int i = 0; i < shape.rank(); ++i) {
    extents[static_cast<std::size_t>(i)] = i == axis ? extent : shape[i];
  }
  return Shape(std::span<const Index>(extents.data(), static_cast<std::size_t>(shape.rank())));
}

}  // namespace smidgen
