#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

void define_attention_steps(py::class_<engine::Program>& program) {
  using engine::Attention;
  define_step(program, "add_attention", Field{"query", &Attention::query},
              Field{"key", &Attention::key}, Field{"value", &Attention::value},
              Field{"output", &Attention::output}, Field{"mask", &Attention::mask},
              Field{"heads", &Attention::heads}, Field{"head_size", &Attention::head_size},
              Field{"scale", &Attention::scale}, Field{"query_offset", &Attention::query_offset},
              Field{"key_offset", &Attention::key_offset},
              Field{"value_offset", &Attention::value_offset});
}

}  // namespace smidgen::bindings
