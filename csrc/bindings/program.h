#pragma once

#include <pybind11/pybind11.h>

#include <array>
#include <utility>
#include <vector>

#include "engine/program.h"

namespace smidgen::bindings {

namespace py = pybind11;

using Extents = std::vector<Index>;
using Pair = std::array<Index, 2>;
using Padding = std::array<Index, 4>;

/// A name in Python and the member of a step that it sets.
template <typename Step, typename Value>
struct Field {
  const char* name;
  Value Step::* member;
};

/// Defines a method of Program that appends a step with these fields.
template <typename Step, typename... Values>
void define_step(py::class_<engine::Program>& program, const char* name,
                 const Field<Step, Values>&... fields) {
  program.def(
      name,
      [fields...](engine::Program& self, Values... values) {
        Step step{};
        ((step.*fields.member = std::move(values)), ...);
        self.steps.emplace_back(std::move(step));
      },
      py::arg(fields.name)...);
}

// One method add_<step> for each step of a family; its parameters have the names of the fields of
// the step's class in smidgen.program.steps.
void define_quantized_steps(py::class_<engine::Program>& program);
void define_resampling_steps(py::class_<engine::Program>& program);
void define_movement_steps(py::class_<engine::Program>& program);
void define_attention_steps(py::class_<engine::Program>& program);
void define_elementwise_steps(py::class_<engine::Program>& program);
void define_reduction_steps(py::class_<engine::Program>& program);
void define_matrix_steps(py::class_<engine::Program>& program);
void define_float_layer_steps(py::class_<engine::Program>& program);

}  // namespace smidgen::bindings
