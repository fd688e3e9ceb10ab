#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

void define_movement_steps(py::class_<engine::Program>& program) {
  using engine::Concat;
  using engine::Reshape;
  define_step(program, "add_concat", Field{"inputs", &Concat::inputs},
              Field{"output", &Concat::output}, Field{"axis", &Concat::axis});
  define_step(program, "add_reshape", Field{"input", &Reshape::input},
              Field{"output", &Reshape::output}, Field{"shape", &Reshape::shape});
}

}  // namespace smidgen::bindings
