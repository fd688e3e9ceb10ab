#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "base/shape.h"
#include "kernels/depthwise_band/depthwise_band.h"

namespace smidgen::kernels {

struct DepthwiseBandVariant {
  std::string_view name;
  Isa isa;
  Index kernel;      // lines of the window
  Index stride;      // lines from one window to the next
  Index block;       // values of a packed block
  Index most_lines;  // output lines at a time
  DepthwiseBandKernel run;

  /// Output lines that share what is read: with stride 1 two, of which one is moved down by a line.
  Index shifts() const { return stride == 1 ? 2 : 1; }

  /// Groups of four lines that the windows of such output lines cover.
  Index groups() const { return ceil_div(ceil_div(kernel + 1, 2), 2); }

  /// Whether the last group has two lines, of two columns side by side; see DepthwiseBand.
  bool has_beside() const { return stride == 1 && ceil_div(kernel + 1, 2) % 2 == 1; }

  /// Lines of the input that the windows of `lines` output lines cover.
  Index input_lines(Index lines) const { return (lines - 1) * stride + kernel; }
};

/// Every kernel of the family that this build has; none for the portable level.
std::span<const DepthwiseBandVariant> depthwise_band_variants();

/// The best kernel for a window's lines, or nullptr if there is none.
const DepthwiseBandVariant* find_depthwise_band(Isa level, Index kernel, Index stride);

}  // namespace smidgen::kernels
