#pragma once

#include <array>

#include "base/shape.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// How windows move over the height and width of [N, C, H, W].
struct Window {
  std::array<Index, 2> kernel{1, 1};
  std::array<Index, 2> stride{1, 1};
  std::array<Index, 4> padding{};  // top, left, bottom, right
  std::array<Index, 2> dilation{1, 1};

  Index taps() const { return kernel[0] * kernel[1]; }
  bool is_padded() const { return padding != std::array<Index, 4>{}; }
};

/// The border that an image needs so that no window leaves it.
Border border_of(const Window& window);

/// Throws ProgramError unless all extents are positive and the padding is not negative.
void check_window(const Window& window);

/// Returns [N, channels, OH, OW]. Throws TensorError if no window fits.
Shape windowed_shape(const Shape& input, Index channels, const Window& window);

/// The taps first <= t < last along one axis that lie inside an extent.
struct InsideTaps {
  Index first;
  Index last;
};

/// Clips a window whose first tap is at `start`.
InsideTaps inside_taps(Index start, Index kernel, Index dilation, Index extent);

}  // namespace smidgen::ops
