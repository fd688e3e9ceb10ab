#pragma once

#include <initializer_list>

#include "base/aligned_buffer.h"
#include "base/partition.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// A part of an elementwise step: `pixels` runs of `bytes` values, a pixel pitch apart, from a
/// position on; or, of tensors without gaps, one run of values.
struct PixelRun {
  Index pixels;
  Index bytes;
  Index image;
  Index line;
  Index first;  // of the values without gaps

  Index offset_in(const TensorView& view) const {
    return image * view.image_pitch + line * view.row_pitch + first;
  }
};

/// Calls visit(PixelRun) for each run of one thread's part of tensors of one shape.
///
/// Tensors without gaps are one long run; tensors whose pixels touch have a run for each line of
/// pixels; otherwise each pixel's channels are a row of the run.
template <typename Visit>
void for_each_run(std::initializer_list<TensorView> views, int thread, int threads,
                  const Visit& visit) {
  const Shape& shape = views.begin()->shape;
  bool is_dense = true;
  bool do_pixels_touch = true;
  for (const TensorView& view : views) {
    is_dense = is_dense && view.is_dense();
    do_pixels_touch = do_pixels_touch && view.pixel_pitch == shape[1];
  }
  if (is_dense) {
    const Range mine = partition(shape.element_count(), kAlignment, thread, threads);
    if (mine.begin < mine.end) visit(PixelRun{1, mine.end - mine.begin, 0, 0, mine.begin});
    return;
  }
  const Index lines = shape[2];
  const Range mine = partition(shape[0] * lines, 1, thread, threads);
  for (Index line = mine.begin; line < mine.end; ++line) {
    visit(PixelRun{do_pixels_touch ? 1 : shape[3], do_pixels_touch ? shape[3] * shape[1] : shape[1],
                   line / lines, line % lines, 0});
  }
}

}  // namespace smidgen::ops
