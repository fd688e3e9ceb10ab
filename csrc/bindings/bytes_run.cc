#include "bindings/bytes_run.h"

#include <pybind11/stl.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "base/finite.h"

namespace smidgen::bindings {
namespace {

using Clock = std::chrono::steady_clock;
using engine::Engine;
using engine::Plan;

double seconds_between(Clock::time_point start, Clock::time_point end) {
  return std::chrono::duration<double>(end - start).count();
}

/// The bytes of an object, for as long as it lives. pybind11's own view describes shape and type,
/// which takes several allocations.
class View {
 public:
  explicit View(const py::buffer& object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_SIMPLE) != 0) {
      throw py::error_already_set();
    }
  }
  ~View() { PyBuffer_Release(&view_); }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  const void* data() const { return view_.buf; }
  std::size_t size() const { return static_cast<std::size_t>(view_.len); }

 private:
  Py_buffer view_{};
};

/// Bytes objects for a run to write its outputs to.
struct Targets {
  Targets(const Engine& engine, const Plan& plan) : values(plan.outputs.size()) {
    for (std::size_t i = 0; i < plan.outputs.size(); ++i) {
      const int output = plan.outputs[i];
      const Shape& shape = plan.tensors[static_cast<std::size_t>(output)].shape;
      const Index bytes = shape.element_count() * size_of(engine.dtype_of(output));
      PyObject* const made = PyBytes_FromStringAndSize(nullptr, bytes);
      if (made == nullptr) throw py::error_already_set();
      PyTuple_SET_ITEM(values.ptr(), static_cast<py::ssize_t>(i), made);
      data.push_back(reinterpret_cast<std::byte*>(PyBytes_AS_STRING(made)));
    }
  }

  py::tuple values;
  std::vector<std::byte*> data;
};

}  // namespace

BytesRun::BytesRun(Engine& engine, const Extents& shape, std::vector<int> outputs)
    : engine_(engine), outputs_(std::move(outputs)) {
  const std::span<const int> inputs = engine.inputs();
  if (inputs.size() != 1) {
    throw TensorError("the program has " + std::to_string(inputs.size()) + " inputs, expected one",
                      "INPUT_MISSING");
  }
  shapes_.emplace_back(std::span<const Index>(shape));
  dtype_ = engine.dtype_of(inputs[0]);
  byte_count_ = static_cast<std::size_t>(shapes_[0].element_count() * size_of(dtype_));
}

std::optional<BytesRun::Outcome> BytesRun::run(const py::buffer& values) {
  const Clock::time_point start = Clock::now();
  const View given(values);
  if (given.size() != byte_count_) return std::nullopt;
  const std::byte* const source = aligned(given.data());
  if (!are_finite(source)) return std::nullopt;
  const Clock::time_point checked = Clock::now();
  std::unique_ptr<Plan> plan = engine_.borrow_cached_plan(shapes_, outputs_);
  if (plan == nullptr) return std::nullopt;
  Targets targets(engine_, *plan);
  const bool has_run = engine_.run_unless_busy(*plan, std::span(&source, 1), targets.data);
  engine_.return_plan(std::move(plan));
  if (!has_run) return std::nullopt;
  return Outcome(std::move(targets.values), seconds_between(start, checked),
                 seconds_between(checked, Clock::now()));
}

std::optional<std::vector<Extents>> BytesRun::output_shapes() {
  std::unique_ptr<Plan> plan = engine_.borrow_cached_plan(shapes_, outputs_);
  if (plan == nullptr) return std::nullopt;
  std::vector<Extents> found;
  for (const int output : plan->outputs) {
    const Shape& shape = plan->tensors[static_cast<std::size_t>(output)].shape;
    Extents& extents = found.emplace_back();
    for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
  }
  engine_.return_plan(std::move(plan));
  return found;
}

const std::byte* BytesRun::aligned(const void* values) {
  const auto address = reinterpret_cast<std::uintptr_t>(values);
  if (address % static_cast<std::uintptr_t>(size_of(dtype_)) == 0) {
    return static_cast<const std::byte*>(values);
  }
  copy_.resize((byte_count_ + sizeof(float) - 1) / sizeof(float));
  std::memcpy(copy_.data(), values, byte_count_);
  return reinterpret_cast<const std::byte*>(copy_.data());
}

bool BytesRun::are_finite(const std::byte* values) const {
  if (dtype_ != DType::kFloat32) return true;
  const std::span floats(reinterpret_cast<const float*>(values), byte_count_ / sizeof(float));
  return first_not_finite(floats) == floats.size();
}

void define_bytes_run(py::module_& module) {
  py::class_<BytesRun>(module, "BytesRun", "Runs of one shape, from bytes to bytes.")
      .def(py::init<Engine&, const Extents&, std::vector<int>>(), py::arg("engine"),
           py::arg("shape"), py::arg("outputs"), py::keep_alive<1, 2>())
      .def("run", &BytesRun::run, py::arg("values"))
      .def("output_shapes", &BytesRun::output_shapes);
}

}  // namespace smidgen::bindings
