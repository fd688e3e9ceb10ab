#pragma once

#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "base/shape.h"
#include "kernels/gemm/registry.h"

namespace smidgen::kernels {

/// The weights of one matrix product as the chosen kernels read them.
struct PackedGemm {
  GemmChoice choice;
  Index n;
  Index k;
  Index k4;
  Index panels;
  AlignedBuffer weights;      // panels of [k4][nr][4] int8; all but the last have main->nr columns
  AlignedBuffer bias2;        // [columns rounded up to nr] int32
  AlignedBuffer multipliers;  // [columns rounded up to nr] float32

  Index panel_bytes() const { return k4 * choice.main->nr * 4; }
};

/// Packs weights [n][k] with bias [n] and multipliers [n]; the zero point of `a` goes into the
/// bias.
PackedGemm pack_gemm(const GemmChoice& choice, Index n, Index k,
                     std::span<const std::int8_t> weights, std::span<const std::int32_t> bias,
                     std::span<const float> multipliers, std::int32_t a_zero_point);

/// Multiplies `rows` rows of `a` with panels [first, last) and writes their columns of `out`.
///
/// a: [rows][a_stride bytes], each row readable up to 4 * k4 bytes; out: [rows][n] with out_stride
/// bytes between rows.
void run_packed_gemm(const PackedGemm& packed, const std::uint8_t* a, Index a_stride, Index rows,
                     Index first, Index last, const OutputRange& range, std::uint8_t* out,
                     Index out_stride) noexcept;

}  // namespace smidgen::kernels
