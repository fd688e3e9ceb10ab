#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

void define_float_layer_steps(py::class_<engine::Program>& program) {
  using engine::FloatConv2d;
  using engine::FloatConvTranspose2d;
  define_step(program, "add_float_conv2d", Field{"input", &FloatConv2d::input},
              Field{"output", &FloatConv2d::output}, Field{"weight", &FloatConv2d::weight},
              Field{"bias", &FloatConv2d::bias}, Field{"stride", &FloatConv2d::stride},
              Field{"padding", &FloatConv2d::padding}, Field{"dilation", &FloatConv2d::dilation},
              Field{"groups", &FloatConv2d::groups});
  define_step(program, "add_float_conv_transpose2d", Field{"input", &FloatConvTranspose2d::input},
              Field{"output", &FloatConvTranspose2d::output},
              Field{"weight", &FloatConvTranspose2d::weight},
              Field{"bias", &FloatConvTranspose2d::bias},
              Field{"stride", &FloatConvTranspose2d::stride},
              Field{"padding", &FloatConvTranspose2d::padding},
              Field{"output_padding", &FloatConvTranspose2d::output_padding},
              Field{"dilation", &FloatConvTranspose2d::dilation},
              Field{"groups", &FloatConvTranspose2d::groups});
}

}  // namespace smidgen::bindings
