#include "ops/transpose.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {

Transpose::Transpose(std::vector<int> permutation, DType dtype)
    : permutation_(std::move(permutation)), dtype_(dtype) {
  std::vector<int> axes(permutation_.size());
  std::iota(axes.begin(), axes.end(), 0);
  if (axes.size() > kMaxRank || !std::ranges::is_permutation(permutation_, axes)) {
    throw ProgramError("a permutation must name each axis once");
  }
}

Shape Transpose::output_shape(std::span<const Shape> inputs) const {
  expect_rank(inputs[0], static_cast<int>(permutation_.size()));
  std::vector<Index> extents;
  for (const int axis : permutation_) extents.push_back(inputs[0][axis]);
  return Shape(std::span<const Index>(extents));
}

Index Transpose::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), 4);
}

void Transpose::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& out = invocation.output;
  const Strides from = byte_strides(x, dtype_);
  Strides permuted{};
  for (std::size_t i = 0; i < permutation_.size(); ++i) {
    permuted[i] = from[static_cast<std::size_t>(permutation_[i])];
  }
  copy_strided(out.shape, size_of(dtype_), {x.data, permuted},
               {out.data, byte_strides(out, dtype_)}, invocation.part, invocation.parts);
}

}  // namespace smidgen::ops
