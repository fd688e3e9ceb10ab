#include "ops/matmul.h"

#include <algorithm>

#include "base/error.h"
#include "base/partition.h"
#include "kernels/select.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {
namespace {

/// The shape without its last two axes; [1] if there are no others.
Shape leading(const Shape& shape) {
  if (shape.rank() == 2) return {1};
  std::array<Index, kMaxRank> extents{};
  for (int axis = 0; axis < shape.rank() - 2; ++axis) {
    extents[static_cast<std::size_t>(axis)] = shape[axis];
  }
  return Shape(std::span<const Index>(extents.data(), static_cast<std::size_t>(shape.rank() - 2)));
}

/// The place in a broadcast operand that belongs to a place of the whole.
Index broadcast_place(const Shape& operand, const Shape& whole, Index place) {
  const Strides strides = broadcast_strides(operand, whole);
  Index own = 0;
  for (int axis = whole.rank() - 1; axis >= 0; --axis) {
    own += place % whole[axis] * strides[static_cast<std::size_t>(axis)];
    place /= whole[axis];
  }
  return own;
}

}  // namespace

MatMul::MatMul(bool transpose_rhs, Isa isa)
    : transpose_rhs_(transpose_rhs),
      variant_(kernels::best_variant(kernels::matmul_variants(), isa)) {}

MatMul::Extents MatMul::extents(const Shape& lhs, const Shape& rhs) const {
  const Index rows = rhs[rhs.rank() - 2];
  const Index columns = rhs[rhs.rank() - 1];
  return {lhs[lhs.rank() - 2], transpose_rhs_ ? rows : columns, transpose_rhs_ ? columns : rows};
}

Shape MatMul::output_shape(std::span<const Shape> inputs) const {
  const Shape& lhs = inputs[0];
  const Shape& rhs = inputs[1];
  if (lhs.rank() < 2 || rhs.rank() < 2 || lhs[lhs.rank() - 1] != extents(lhs, rhs).k) {
    throw TensorError("shapes " + lhs.to_string() + " and " + rhs.to_string() +
                      " cannot be multiplied");
  }
  const Shape batch = broadcast(leading(lhs), leading(rhs));
  const bool has_batch = std::max(lhs.rank(), rhs.rank()) > 2;
  std::array<Index, kMaxRank + 2> all{};
  int rank = 0;
  for (int axis = 0; has_batch && axis < batch.rank(); ++axis) {
    all[static_cast<std::size_t>(rank++)] = batch[axis];
  }
  all[static_cast<std::size_t>(rank++)] = lhs[lhs.rank() - 2];
  all[static_cast<std::size_t>(rank++)] = extents(lhs, rhs).n;
  return Shape(std::span<const Index>(all.data(), static_cast<std::size_t>(rank)));
}

Index MatMul::work(std::span<const Shape> inputs) const {
  return saturating_product(output_shape(inputs).element_count(),
                            saturating_product(4, extents(inputs[0], inputs[1]).k));
}

Index MatMul::scratch_bytes(std::span<const Shape> inputs) const {
  const Index panel = saturating_product(extents(inputs[0], inputs[1]).k, variant_.nr);
  return saturating_product(panel, sizeof(float));
}

void MatMul::run(const Invocation& invocation) const noexcept {
  const TensorView& lhs = invocation.inputs[0];
  const TensorView& rhs = invocation.inputs[1];
  const Extents size = extents(lhs.shape, rhs.shape);
  const Shape lhs_batch = leading(lhs.shape);
  const Shape rhs_batch = leading(rhs.shape);
  const Shape batch = leading(invocation.output.shape);
  const Index all_rows = invocation.output.shape.element_count() / size.n;
  const Range mine = partition(all_rows, variant_.mr, invocation.part, invocation.parts);
  auto* panel = reinterpret_cast<float*>(invocation.scratch);
  for (Index row = mine.begin; row < mine.end;) {
    const Index place = row / size.m;
    const Index first = row % size.m;
    const Index rows = std::min(size.m - first, mine.end - row);
    const float* a =
        lhs.f32() + (broadcast_place(lhs_batch, batch, place) * size.m + first) * size.k;
    const float* b = rhs.f32() + broadcast_place(rhs_batch, batch, place) * size.k * size.n;
    multiply(a, rows, b, size, invocation.output.f32() + row * size.n, panel);
    row += rows;
  }
}

void MatMul::multiply(const float* a, Index rows, const float* b, const Extents& extents,
                      float* out, float* panel) const noexcept {
  for (Index column = 0; column < extents.n; column += variant_.nr) {
    const Index columns = std::min(variant_.nr, extents.n - column);
    // A wide matrix is read again for each tile of rows, so its columns come together once.
    const bool packs = transpose_rhs_ || (rows > variant_.mr && extents.n > 4 * variant_.nr);
    if (packs) pack_panel(b, column, columns, extents, panel);
    for (Index row = 0; row < rows; row += variant_.mr) {
      variant_.kernel({.m = std::min<Index>(variant_.mr, rows - row),
                       .n = columns,
                       .k = extents.k,
                       .a = a + row * extents.k,
                       .a_stride = extents.k,
                       .b = packs ? panel : b + column,
                       .b_stride = packs ? columns : extents.n,
                       .out = out + row * extents.n + column,
                       .out_stride = extents.n});
    }
  }
}

void MatMul::pack_panel(const float* b, Index first, Index columns, const Extents& extents,
                        float* panel) const noexcept {
  constexpr Index kBlock = 16;  // columns whose cache lines stay while a row is turned
  if (!transpose_rhs_) {
    for (Index k = 0; k < extents.k; ++k) {
      std::copy_n(b + k * extents.n + first, columns, panel + k * columns);
    }
    return;
  }
  for (Index block = 0; block < columns; block += kBlock) {
    const Index last = std::min(block + kBlock, columns);
    for (Index k = 0; k < extents.k; ++k) {
      for (Index j = block; j < last; ++j) {
        panel[k * columns + j] = b[(first + j) * extents.k + k];
      }
    }
  }
}

}  // namespace smidgen::ops
