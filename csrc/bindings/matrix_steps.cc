#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

void define_matrix_steps(py::class_<engine::Program>& program) {
  using engine::DynamicLinear;
  using engine::Embedding;
  using engine::MatMul;
  define_step(program, "add_mat_mul", Field{"lhs", &MatMul::lhs}, Field{"rhs", &MatMul::rhs},
              Field{"output", &MatMul::output}, Field{"transpose_rhs", &MatMul::transpose_rhs});
  define_step(program, "add_embedding", Field{"indices", &Embedding::indices},
              Field{"output", &Embedding::output}, Field{"table", &Embedding::table},
              Field{"table_scale", &Embedding::table_scale});
  define_step(program, "add_dynamic_linear", Field{"input", &DynamicLinear::input},
              Field{"output", &DynamicLinear::output}, Field{"weight", &DynamicLinear::weight},
              Field{"weight_scale", &DynamicLinear::weight_scale},
              Field{"bias", &DynamicLinear::bias});
}

}  // namespace smidgen::bindings
