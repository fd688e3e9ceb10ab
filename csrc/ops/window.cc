#include "ops/window.h"

#include <algorithm>

#include "base/error.h"

namespace smidgen::ops {
namespace {

Index window_count(Index extent, std::size_t axis, const Window& window) {
  const Index padding = window.padding[axis] + window.padding[axis + 2];
  const Index span = window.dilation[axis] * (window.kernel[axis] - 1) + 1;
  return extent + padding < span ? 0 : (extent + padding - span) / window.stride[axis] + 1;
}

}  // namespace

Border border_of(const Window& window) {
  return {window.padding[0], window.padding[1], window.padding[2], window.padding[3]};
}

void check_window(const Window& window) {
  const auto positive = [](const std::array<Index, 2>& pair) {
    return pair[0] >= 1 && pair[1] >= 1;
  };
  if (!positive(window.kernel) || !positive(window.stride) || !positive(window.dilation)) {
    throw ProgramError("kernel, stride and dilation must be at least 1");
  }
  if (std::ranges::any_of(window.padding, [](Index amount) { return amount < 0; })) {
    throw ProgramError("padding must not be negative");
  }
}

Shape windowed_shape(const Shape& input, Index channels, const Window& window) {
  const Index height = window_count(input[2], 0, window);
  const Index width = window_count(input[3], 1, window);
  if (height < 1 || width < 1) {
    throw TensorError("no window of " + std::to_string(window.kernel[0]) + " x " +
                      std::to_string(window.kernel[1]) + " fits into shape " + input.to_string());
  }
  return {input[0], channels, height, width};
}

InsideTaps inside_taps(Index start, Index kernel, Index dilation, Index extent) {
  // Most windows lie inside; this spares them the divisions.
  if (start >= 0 && start + (kernel - 1) * dilation < extent) return {0, kernel};
  const Index first = std::min(start >= 0 ? 0 : ceil_div(-start, dilation), kernel);
  const Index last = start >= extent ? 0 : std::min(kernel, (extent - 1 - start) / dilation + 1);
  return {first, std::max(first, last)};
}

}  // namespace smidgen::ops
