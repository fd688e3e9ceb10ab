#pragma once

#include "base/dtype.h"
#include "base/isa.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Tells whether a tensor lies in memory in another order than its logical one.
bool is_channels_last(const Shape& shape, DType dtype);

/// Tells whether tensors of these shapes and without gaps, of one logical row-major sequence of
/// values, hold the same bytes in the same order.
bool lie_alike(const Shape& a, const Shape& b, DType dtype);

/// Copies a tensor as it lies in memory to its logical row-major order.
void to_logical(const TensorView& tensor, DType dtype, std::byte* out, Isa isa) noexcept;

/// The reverse of to_logical.
void from_logical(const std::byte* x, DType dtype, const TensorView& tensor, Isa isa) noexcept;

}  // namespace smidgen::ops
