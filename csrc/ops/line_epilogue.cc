#include "ops/line_epilogue.h"

#include "ops/add.h"
#include "ops/lookup.h"

namespace smidgen::ops {
namespace {

void look_up_line(const Lookup& lookup, const TensorView& output, std::uint8_t* line,
                  bool do_pixels_touch) {
  const Index channels = output.shape[1];
  const Index pixels = output.shape[3];
  lookup.look_up({.rows = do_pixels_touch ? 1 : pixels,
                  .count = do_pixels_touch ? pixels * channels : channels,
                  .x = line,
                  .x_stride = output.pixel_pitch,
                  .out = line,
                  .out_stride = output.pixel_pitch});
}

void add_line(const Epilogue& epilogue, const TensorView& output, std::uint8_t* line,
              const std::uint8_t* addend_line, bool do_pixels_touch) {
  const Index channels = output.shape[1];
  const Index pixels = output.shape[3];
  const bool is_first = epilogue.is_addend_first;
  const Index addend_pitch = epilogue.addend.pixel_pitch;
  epilogue.add->add({.rows = do_pixels_touch ? 1 : pixels,
                     .count = do_pixels_touch ? pixels * channels : channels,
                     .lhs = is_first ? addend_line : line,
                     .lhs_stride = is_first ? addend_pitch : output.pixel_pitch,
                     .rhs = is_first ? line : addend_line,
                     .rhs_stride = is_first ? output.pixel_pitch : addend_pitch,
                     .out = line,
                     .out_stride = output.pixel_pitch});
}

}  // namespace

void finish_lines(const Epilogue& epilogue, const TensorView& output, Index image,
                  Range lines) noexcept {
  if (epilogue.is_empty()) return;
  const bool touches = output.pixel_pitch == output.shape[1];
  for (Index y = lines.begin; y < lines.end; ++y) {
    std::uint8_t* line = output.pixel(image, y, 0);
    if (epilogue.lookup != nullptr) look_up_line(*epilogue.lookup, output, line, touches);
    if (epilogue.add != nullptr) {
      const bool both_touch = touches && epilogue.addend.pixel_pitch == output.shape[1];
      add_line(epilogue, output, line, epilogue.addend.pixel(image, y, 0), both_touch);
    }
  }
}

}  // namespace smidgen::ops
