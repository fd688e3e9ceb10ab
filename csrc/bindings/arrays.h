#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"
#include "engine/engine.h"

namespace smidgen::bindings {

namespace py = pybind11;

/// Arrays that a run can read as they are: C-contiguous, aligned, in the machine's byte order.
inline constexpr int kReadable = py::array::c_style | py::detail::npy_api::NPY_ARRAY_ALIGNED_;

/// Throws ProgramError if tensors cannot have the type.
DType dtype_of(const py::dtype& dtype);
py::dtype numpy_dtype(DType dtype);

Shape shape_of(const py::array& array);

/// The inputs of a run, in the order of the program's.
struct Sources {
  Sources() = default;
  /// Throws TensorError if their number or a type does not fit, or a run cannot read one as it is.
  Sources(const engine::Engine& engine, const std::vector<py::array>& inputs);

  std::vector<Shape> shapes;
  std::vector<const std::byte*> data;
};

}  // namespace smidgen::bindings
