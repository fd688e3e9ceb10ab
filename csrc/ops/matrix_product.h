#pragma once

#include "kernels/gemm/run.h"
#include "ops/product_order.h"

namespace smidgen::ops {

/// Rows of a matrix without gaps, and where their outputs go.
struct MatrixRows {
  Index count;
  const std::uint8_t* a;                                   // [count][k]
  std::uint8_t* out;                                       // [count][n] bytes or floats
  const std::uint8_t* addend = nullptr;                    // [count][n], for kBytesWithAddend
  const kernels::RowQuantization* quantization = nullptr;  // [count], for kFloatsOfScaledRows
};

/// Which part of a product to compute, and how.
struct ProductPart {
  int index;
  int count;
  int candidate;
};

/// The product of a matrix with packed weights: what linear layers have in common.
class MatrixProduct {
 public:
  explicit MatrixProduct(kernels::PackedGemm packed) : packed_(std::move(packed)) {}

  Index features() const { return packed_.shape.k(); }
  Index outputs() const { return packed_.shape.n; }

  /// Bytes of scratch for kernels that take wider values.
  Index scratch_bytes(Index rows) const;

  /// The rows that a part reads.
  Range rows_of(const ProductPart& part, Index rows) const;

  /// Computes one part of all rows.
  void multiply(const MatrixRows& rows, const kernels::GemmEnd& end, const ProductPart& part,
                std::byte* scratch) const noexcept;

 private:
  Index rows_at_once(Index rows) const;
  ProductOrder order(const ProductPart& part, Index rows) const;
  void multiply_block(const MatrixRows& rows, const kernels::GemmEnd& end,
                      const ProductOrder& order, Range panels) const noexcept;

  kernels::PackedGemm packed_;
};

}  // namespace smidgen::ops
