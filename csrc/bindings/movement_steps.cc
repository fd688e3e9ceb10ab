#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

void define_movement_steps(py::class_<engine::Program>& program) {
  using engine::Concat;
  using engine::ConstantTensor;
  using engine::Expand;
  using engine::Gather;
  using engine::Pad;
  using engine::Reshape;
  using engine::Slice;
  using engine::Transpose;
  define_step(program, "add_constant_tensor", Field{"output", &ConstantTensor::output},
              Field{"value", &ConstantTensor::value});
  define_step(program, "add_reshape", Field{"input", &Reshape::input},
              Field{"output", &Reshape::output}, Field{"shape", &Reshape::shape});
  define_step(program, "add_concat", Field{"inputs", &Concat::inputs},
              Field{"output", &Concat::output}, Field{"axis", &Concat::axis});
  define_step(program, "add_transpose", Field{"input", &Transpose::input},
              Field{"output", &Transpose::output}, Field{"permutation", &Transpose::permutation});
  define_step(program, "add_slice", Field{"input", &Slice::input}, Field{"output", &Slice::output},
              Field{"axis", &Slice::axis}, Field{"start", &Slice::start},
              Field{"stop", &Slice::stop}, Field{"stride", &Slice::stride});
  define_step(program, "add_expand", Field{"input", &Expand::input},
              Field{"output", &Expand::output}, Field{"shape", &Expand::shape});
  define_step(program, "add_pad", Field{"input", &Pad::input}, Field{"output", &Pad::output},
              Field{"pads", &Pad::pads}, Field{"value", &Pad::value});
  define_step(program, "add_gather", Field{"input", &Gather::input},
              Field{"indices", &Gather::indices}, Field{"output", &Gather::output},
              Field{"axis", &Gather::axis});
}

}  // namespace smidgen::bindings
