#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

void define_reduction_steps(py::class_<engine::Program>& program) {
  using engine::LayerNorm;
  using engine::Reduce;
  using engine::Softmax;
  define_step(program, "add_reduce", Field{"input", &Reduce::input},
              Field{"output", &Reduce::output}, Field{"function", &Reduce::function},
              Field{"axes", &Reduce::axes}, Field{"keep_dims", &Reduce::keep_dims});
  define_step(program, "add_softmax", Field{"input", &Softmax::input},
              Field{"output", &Softmax::output}, Field{"axis", &Softmax::axis});
  define_step(program, "add_layer_norm", Field{"input", &LayerNorm::input},
              Field{"output", &LayerNorm::output}, Field{"epsilon", &LayerNorm::epsilon},
              Field{"weight", &LayerNorm::weight}, Field{"bias", &LayerNorm::bias});
}

}  // namespace smidgen::bindings
