#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "base/shape.h"
#include "kernels/gemm/gemm.h"

namespace smidgen::kernels {

struct GemmVariant {
  std::string_view name;
  Isa isa;
  Index mr;  // largest m of a tile
  Index nr;  // columns of a packed panel
  GemmKernel kernel;
};

/// Every kernel of the family that this build has.
std::span<const GemmVariant> gemm_variants();

/// The kernels of one layer: `main` for full panels and `tail` for the last, narrower one.
struct GemmChoice {
  const GemmVariant* main;
  const GemmVariant* tail;
};

/// Chooses by estimated cycles for `n` columns and the number of rows that one call will have.
GemmChoice choose_gemm(Isa level, Index n, Index expected_rows);

}  // namespace smidgen::kernels
