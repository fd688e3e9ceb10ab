#pragma once

#include <optional>

#include "kernels/gemm/run.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// What a matrix product does beyond its own requantization, as its kernels take it.
class ProductEpilogue {
 public:
  /// `own` is what the product alone is bounded by.
  ProductEpilogue(const kernels::OutputRange& own, const Epilogue& epilogue);

  /// Whether kernels can do these steps: a table or a residual addition, with bounded terms.
  static bool can_do(const Epilogue& epilogue);

  /// How kernels end the product; points into this.
  kernels::GemmEnd end() const {
    return {addend_ ? kernels::GemmEnding::kBytesWithAddend : kernels::GemmEnding::kBytes, range_,
            addend_ ? &*addend_ : nullptr, lookup_ ? &*lookup_ : nullptr};
  }

 private:
  kernels::OutputRange range_;
  std::optional<kernels::GemmAddend> addend_;
  std::optional<kernels::GemmLookup> lookup_;
};

}  // namespace smidgen::ops
