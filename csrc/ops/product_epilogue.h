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

  kernels::GemmEnding ending() const {
    return addend_ ? kernels::GemmEnding::kBytesWithAddend : kernels::GemmEnding::kBytes;
  }
  const kernels::OutputRange& range() const { return range_; }
  const kernels::GemmAddend* addend() const { return addend_ ? &*addend_ : nullptr; }
  const kernels::GemmLookup* lookup() const { return lookup_ ? &*lookup_ : nullptr; }

 private:
  kernels::OutputRange range_;
  std::optional<kernels::GemmAddend> addend_;
  std::optional<kernels::GemmLookup> lookup_;
};

}  // namespace smidgen::ops
