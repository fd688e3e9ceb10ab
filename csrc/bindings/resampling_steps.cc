#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

void define_resampling_steps(py::class_<engine::Program>& program) {
  using engine::ConvTranspose2d;
  using engine::Resize;
  define_step(
      program, "add_conv_transpose2d", Field{"input", &ConvTranspose2d::input},
      Field{"output", &ConvTranspose2d::output}, Field{"weight", &ConvTranspose2d::weight},
      Field{"weight_scale", &ConvTranspose2d::weight_scale}, Field{"bias", &ConvTranspose2d::bias},
      Field{"stride", &ConvTranspose2d::stride}, Field{"padding", &ConvTranspose2d::padding},
      Field{"output_padding", &ConvTranspose2d::output_padding},
      Field{"dilation", &ConvTranspose2d::dilation}, Field{"groups", &ConvTranspose2d::groups},
      Field{"qmin", &ConvTranspose2d::qmin}, Field{"qmax", &ConvTranspose2d::qmax});
  define_step(program, "add_resize", Field{"input", &Resize::input},
              Field{"output", &Resize::output}, Field{"mode", &Resize::mode},
              Field{"size", &Resize::size}, Field{"ratio", &Resize::ratio},
              Field{"align_corners", &Resize::align_corners});
}

}  // namespace smidgen::bindings
