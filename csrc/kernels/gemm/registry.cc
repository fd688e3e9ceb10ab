#include "kernels/gemm/registry.h"

#include <algorithm>
#include <array>

#include "kernels/select.h"

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    GemmVariant{"qu8_qc8w_gemm_4x16c4_portable", Isa::kPortable, 4, 16, 4, 1, 1, false,
                qu8_qc8w_gemm_4x16c4_portable},
#if SMIDGEN_X86
    GemmVariant{"qu8_qc8w_gemm_6x16c2_avx2", Isa::kAvx2, 6, 16, 2, 1, 1, false,
                qu8_qc8w_gemm_6x16c2_avx2},
    GemmVariant{"qu8_qc8w_gemm_6x16c4_avxvnni", Isa::kAvxVnni, 6, 16, 4, 1, 1, false,
                qu8_qc8w_gemm_6x16c4_avxvnni},
    GemmVariant{"qu8_qc8w_gemm_4x24c4_avxvnni", Isa::kAvxVnni, 4, 24, 4, 1, 1, false,
                qu8_qc8w_gemm_4x24c4_avxvnni},
    GemmVariant{"qu8_qc8w_gemm_14x32c4_avx512vnni", Isa::kAvx512Vnni, 14, 32, 4, 1, 1, false,
                qu8_qc8w_gemm_14x32c4_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_28x16c4_avx512vnni", Isa::kAvx512Vnni, 28, 16, 4, 1, 1, false,
                qu8_qc8w_gemm_28x16c4_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_28x8c8_avx512vnni", Isa::kAvx512Vnni, 28, 8, 4, 2, 2, false,
                qu8_qc8w_gemm_28x8c8_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_6x64c4_avx512vnni", Isa::kAvx512Vnni, 6, 64, 4, 1, 1, false,
                qu8_qc8w_gemm_6x64c4_avx512vnni},
    GemmVariant{"qu8_qc8w_gemm_32x16c64_amx", Isa::kAmx, 32, 16, 4, 1, 16, true,
                qu8_qc8w_gemm_32x16c64_amx},
    GemmVariant{"qu8_qc8w_gemm_32x32c64_amx", Isa::kAmx, 32, 32, 4, 1, 16, true,
                qu8_qc8w_gemm_32x32c64_amx},
#endif
};

/// Cycles of one panel of a product in tiles of at most `mr` rows. What costs them was measured on
/// Zen 5 and Emerald Rapids; only how variants compare matters.
double panel_cost(const GemmVariant& variant, const GemmShape& shape, Index expected_rows,
                  Index mr) {
  constexpr double kRequantized = 1.6;  // cycles to end a vector of sums
  constexpr double kWritten = 0.8;      // cycles to write a row
  constexpr double kTileEnd = 26.0;     // cycles in which all of a tile waits for its last product
  constexpr double kFetched = 0.15;     // cycles to bring weights of a vector nearer
  const Index tiles = ceil_div(expected_rows, mr);
  const Index rows = ceil_div(expected_rows, tiles);
  const bool is_narrow = variant.isa == Isa::kAvx2 || variant.isa == Isa::kAvxVnni;
  // A vector has 8 or 16 columns, or fewer and as many times the groups.
  const Index vectors = variant.nr * variant.adjacent / (is_narrow ? 8 : 16);
  const Index groups = variant.groups(shape) / variant.adjacent;
  double products = 0.0;
  if (variant.isa == Isa::kAmx) {
    // A step costs the same for one group of four and for 16; the rows' tiles are loaded once for
    // all columns; and sums enter and leave tiles through memory.
    constexpr double kRowTiles = 24.0;
    constexpr double kStep = 28.0;
    constexpr double kEnds = 48.0;
    const auto steps = static_cast<double>(groups / variant.group_step);
    products = steps * kRowTiles + static_cast<double>(vectors) * (steps * kStep + kEnds);
  } else {
    // Two dot products a cycle, or two of a group of each row and the weights that these read and
    // fetch; and five cycles from one product to the next on the same sums.
    constexpr Index kLatency = 10;
    const Index half_cycles = std::max({rows * vectors, rows + 2 * vectors, kLatency});
    products = 0.5 * static_cast<double>(groups * half_cycles) +
               kFetched * static_cast<double>(groups * vectors) + kTileEnd;
  }
  // Four vectors are packed at a time, so three of a row end like four. Folding two rows into a
  // vector leaves half a vector to end, and takes half as long as that.
  const double ended =
      variant.adjacent == 1 ? static_cast<double>(vectors == 3 ? 4 : vectors) : 0.75;
  return static_cast<double>(tiles) *
         (products + static_cast<double>(rows) * (kRequantized * ended + kWritten));
}

/// Whether a level that has `best` kernels should consider a variant: tiles do not suit short rows.
bool is_candidate(const GemmVariant& variant, Isa best) {
  return variant.isa == best || (best == Isa::kAmx && variant.isa == Isa::kAvx512Vnni);
}

}  // namespace

std::span<const GemmVariant> gemm_variants() { return kVariants; }

GemmChoice choose_gemm(Isa level, const GemmShape& shape, Index expected_rows) {
  const Isa best = best_variant(gemm_variants(), level).isa;
  // A tile takes longer to load its weights than to multiply them with a few rows.
  if (best == Isa::kAmx) expected_rows = std::max(expected_rows, Index{32});
  GemmChoice choice{nullptr, nullptr};
  double lowest = 0.0;
  for (const GemmVariant& main : kVariants) {
    if (!is_candidate(main, best)) continue;
    for (const GemmVariant& tail : kVariants) {
      const Index rest = shape.n % main.nr;
      if (tail.isa != main.isa || tail.nr > main.nr || tail.nr < rest) continue;
      if (tail.mr < main.mr || tail.padded(shape.length) != main.padded(shape.length)) continue;
      // The last panel comes in the tiles of the others.
      const double cost =
          static_cast<double>(shape.n / main.nr) * panel_cost(main, shape, expected_rows, main.mr) +
          (rest == 0 ? 0.0 : panel_cost(tail, shape, expected_rows, main.mr));
      if (choice.main == nullptr || cost < lowest) {
        choice = {&main, &tail};
        lowest = cost;
      }
    }
  }
  return choice;
}

}  // namespace smidgen::kernels
