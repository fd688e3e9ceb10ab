#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

void define_elementwise_steps(py::class_<engine::Program>& program) {
  using engine::Binary;
  using engine::Cast;
  using engine::Compare;
  using engine::Unary;
  using engine::Where;
  define_step(program, "add_unary", Field{"input", &Unary::input}, Field{"output", &Unary::output},
              Field{"function", &Unary::function}, Field{"parameters", &Unary::parameters});
  define_step(program, "add_binary", Field{"lhs", &Binary::lhs}, Field{"rhs", &Binary::rhs},
              Field{"output", &Binary::output}, Field{"function", &Binary::function});
  define_step(program, "add_compare", Field{"lhs", &Compare::lhs}, Field{"rhs", &Compare::rhs},
              Field{"output", &Compare::output}, Field{"function", &Compare::function});
  define_step(program, "add_where", Field{"condition", &Where::condition},
              Field{"lhs", &Where::lhs}, Field{"rhs", &Where::rhs},
              Field{"output", &Where::output});
  define_step(program, "add_cast", Field{"input", &Cast::input}, Field{"output", &Cast::output});
}

}  // namespace smidgen::bindings
