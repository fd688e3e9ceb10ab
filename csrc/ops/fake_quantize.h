#pragma once

#include <cstdint>
#include <span>

#include "base/isa.h"
#include "base/openmp_team.h"
#include "base/shape.h"
#include "kernels/fake_quantize/registry.h"

namespace smidgen::ops {

/// Bytes of the bits of `count` values.
constexpr Index bit_bytes(Index count) { return ceil_div(count, 8); }

/// Fake quantization of whole arrays, for training; see kernels/fake_quantize/fake_quantize.h.
///
/// Callers give arrays of the sizes that belong together; `threads` is at least 1, and the values
/// do not depend on it.
class FakeQuantizer {
 public:
  explicit FakeQuantizer(Isa isa);

  void round(std::span<const float> x, const kernels::FakeQuantizeRange& range,
             std::span<float> out, std::span<std::uint8_t> bits, int threads) const noexcept;

  /// Rounds weights [rows, length] to int8 with one scale for each row: its largest magnitude
  /// divided by 127, within [2^-60, 2^60], and 1 for zeros only. The bits of each row begin a byte.
  /// With factors, one a row, rows are multiplied by them before, and divided by them, or by 1 for
  /// 0, after.
  void round_weight(std::span<const float> weight, std::span<const float> factors,
                    std::span<float> out, std::span<std::uint8_t> bits, std::span<float> scales,
                    int threads) const noexcept;

  void pass_gradient(std::span<const float> gradient, std::span<const std::uint8_t> bits,
                     std::span<float> out, int threads) const noexcept;

  /// As pass_gradient, for the bits that round_weight writes.
  void pass_weight_gradient(std::span<const float> gradient, Index rows,
                            std::span<const std::uint8_t> bits, std::span<float> out,
                            int threads) const noexcept;

  /// Of at least one value.
  kernels::ValueRange value_range(std::span<const float> x, int threads) const;

 private:
  float round_row(std::span<const float> x, std::span<float> out,
                  std::uint8_t* bits) const noexcept;
  float round_row(std::span<const float> x, float factor, std::span<float> out,
                  std::uint8_t* bits) const noexcept;

  const kernels::FakeQuantizeVariant& variant_;
  OpenMpTeam team_;
};

}  // namespace smidgen::ops
