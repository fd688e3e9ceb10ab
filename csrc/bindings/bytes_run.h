#pragma once

#include <pybind11/pybind11.h>

#include <cstddef>
#include <optional>
#include <tuple>
#include <vector>

#include "base/dtype.h"
#include "base/shape.h"
#include "bindings/program.h"
#include "engine/engine.h"

namespace smidgen::bindings {

/// Runs of one shape of a program's only input, from bytes to bytes.
///
/// It does what a short call needs in one place: what the same does with arrays takes memory from
/// a hundred other places, and a call that comes a millisecond later finds none of it in the
/// caches.
class BytesRun {
 public:
  /// Of a run: the values of each output, and the seconds of looking at the input and of computing.
  using Outcome = std::tuple<py::tuple, double, double>;

  /// Throws TensorError if the program does not have one input.
  BytesRun(engine::Engine& engine, const Extents& shape, std::vector<int> outputs);

  /// Runs under the interpreter lock. Nothing if no plan is cached, the threads are busy, the bytes
  /// are not as many as the shape has, or a value is not finite.
  std::optional<Outcome> run(const py::buffer& values);

  /// The shape of each output; nothing if no plan is cached.
  std::optional<std::vector<Extents>> output_shapes();

 private:
  const std::byte* aligned(const void* values);
  bool are_finite(const std::byte* values) const;

  engine::Engine& engine_;
  std::vector<Shape> shapes_;
  std::vector<int> outputs_;
  DType dtype_;
  std::size_t byte_count_;
  std::vector<float> copy_;  // of values that are not aligned
};

/// Defines BytesRun.
void define_bytes_run(py::module_& module);

}  // namespace smidgen::bindings
