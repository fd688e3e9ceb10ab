#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/finite.h"
#include "base/isa.h"
#include "bindings/arrays.h"
#include "bindings/bytes_run.h"
#include "bindings/pixels.h"
#include "bindings/program.h"
#include "bindings/run_queue.h"
#include "bindings/training.h"
#include "engine/engine.h"
#include "kernels/peak/measure.h"

namespace py = pybind11;

namespace smidgen {
namespace {

using engine::Engine;
using engine::Plan;
using engine::Program;

using bindings::dtype_of;
using bindings::Extents;
using bindings::kReadable;
using bindings::numpy_dtype;
using bindings::shape_of;
using bindings::Sources;

// Values that take some ten microseconds to look at: less is not worth a change of threads.
constexpr std::size_t kLongForThreads = std::size_t{1} << 14;

int last_index(std::size_t size) { return static_cast<int>(size) - 1; }

int add_tensor(Program& program, std::string name, const py::dtype& dtype, int rank, float scale,
               int zero_point) {
  program.tensors.push_back({std::move(name), dtype_of(dtype), rank, {scale, zero_point}});
  return last_index(program.tensors.size());
}

/// The program keeps the array rather than a copy of it. Its last owner lets it go under the
/// interpreter lock, as programs are Python objects and engines keep no constants.
int add_constant(Program& program, const py::array& values) {
  auto array = std::make_shared<const py::array>(py::array::ensure(values, kReadable));
  const std::span bytes(static_cast<const std::byte*>(array->data()),
                        static_cast<std::size_t>(array->nbytes()));
  const DType dtype = dtype_of(array->dtype());
  const Shape shape = shape_of(*array);
  program.constants.push_back({dtype, shape, bytes, std::move(array)});
  return last_index(program.constants.size());
}

void define_program(py::module_& module) {
  py::class_<Program> program(module, "Program",
                              "A program under construction; tensors and constants go by index.");
  program.def(py::init<>())
      .def("add_tensor", &add_tensor, py::arg("name"), py::arg("dtype"), py::arg("rank"),
           py::arg("scale"), py::arg("zero_point"))
      .def("add_constant", &add_constant, py::arg("values"))
      .def(
          "set_ends",
          [](Program& program, std::vector<int> inputs, std::vector<int> outputs) {
            program.inputs = std::move(inputs);
            program.outputs = std::move(outputs);
          },
          py::arg("inputs"), py::arg("outputs"));
  bindings::define_quantized_steps(program);
  bindings::define_resampling_steps(program);
  bindings::define_movement_steps(program);
  bindings::define_attention_steps(program);
  bindings::define_elementwise_steps(program);
  bindings::define_reduction_steps(program);
  bindings::define_matrix_steps(program);
  bindings::define_float_layer_steps(program);
}

std::unique_ptr<Engine> make_engine(const Program& program, int threads,
                                    const std::optional<std::string>& isa,
                                    std::optional<Index> most_bytes, std::optional<Index> most_work,
                                    bool tune, std::optional<Index> most_weight_bytes) {
  const char* cap = std::getenv("SMIDGEN_ISA");
  const Isa chosen =
      choose_isa(isa, cap == nullptr ? std::nullopt : std::optional<std::string_view>(cap));
  engine::RunLimits limits;
  limits.bytes = most_bytes.value_or(limits.bytes);
  limits.work = most_work.value_or(limits.work);
  const py::gil_scoped_release released;
  return std::make_unique<Engine>(program, threads, chosen, limits, tune, engine::kCacheBytes,
                                  most_weight_bytes.value_or(std::numeric_limits<Index>::max()));
}

/// Arrays for a run to write its outputs to.
struct Targets {
  Targets(const Engine& engine, const Plan& plan) {
    for (const int output : plan.outputs) {
      const Shape& shape = plan.tensors[static_cast<std::size_t>(output)].shape;
      Extents extents;
      for (int axis = 0; axis < shape.rank(); ++axis) extents.push_back(shape[axis]);
      arrays.emplace_back(numpy_dtype(engine.dtype_of(output)), extents);
      data.push_back(static_cast<std::byte*>(arrays.back().mutable_data()));
    }
  }

  std::vector<py::array> arrays;
  std::vector<std::byte*> data;
};

std::unique_ptr<Plan> borrow_plan(Engine& engine, const Sources& sources,
                                  const std::vector<int>& outputs) {
  const py::gil_scoped_release released;
  return engine.borrow_plan(sources.shapes, outputs);
}

std::vector<py::array> run(Engine& engine, const std::vector<py::array>& inputs,
                           const std::vector<int>& outputs) {
  const Sources sources(engine, inputs);
  std::unique_ptr<Plan> plan = borrow_plan(engine, sources, outputs);
  Targets targets(engine, *plan);
  const py::gil_scoped_release released;
  engine.run(*plan, sources.data, targets.data);
  engine.return_plan(std::move(plan));
  return std::move(targets.arrays);
}

/// As run, under the interpreter lock; nothing if no plan is cached or the threads are busy.
std::optional<std::vector<py::array>> run_planned(Engine& engine,
                                                  const std::vector<py::array>& inputs,
                                                  const std::vector<int>& outputs) {
  const Sources sources(engine, inputs);
  std::unique_ptr<Plan> plan = engine.borrow_cached_plan(sources.shapes, outputs);
  if (plan == nullptr) return std::nullopt;
  Targets targets(engine, *plan);
  const bool has_run = engine.run_unless_busy(*plan, sources.data, targets.data);
  engine.return_plan(std::move(plan));
  if (!has_run) return std::nullopt;
  return std::move(targets.arrays);
}

/// Returns the seconds of each of `rounds` runs.
py::array_t<double> time_runs(Engine& engine, const std::vector<py::array>& inputs,
                              const std::vector<int>& outputs, py::ssize_t rounds) {
  using Clock = std::chrono::steady_clock;
  const Sources sources(engine, inputs);
  std::unique_ptr<Plan> plan = borrow_plan(engine, sources, outputs);
  const Targets targets(engine, *plan);
  py::array_t<double> seconds(rounds);
  double* const written = seconds.mutable_data();
  const py::gil_scoped_release released;
  for (py::ssize_t round = 0; round < rounds; ++round) {
    const Clock::time_point start = Clock::now();
    engine.run(*plan, sources.data, targets.data);
    written[round] = std::chrono::duration<double>(Clock::now() - start).count();
  }
  engine.return_plan(std::move(plan));
  return seconds;
}

/// Returns the tensor that each step of the plan writes, and its seconds, [rounds, steps].
std::pair<std::vector<int>, py::array_t<double>> time_steps(Engine& engine,
                                                            const std::vector<py::array>& inputs,
                                                            const std::vector<int>& outputs,
                                                            py::ssize_t rounds) {
  const Sources sources(engine, inputs);
  std::unique_ptr<Plan> plan = borrow_plan(engine, sources, outputs);
  const Targets targets(engine, *plan);
  std::vector<int> written;
  for (const engine::PlannedStep& step : plan->steps) written.push_back(step.output);
  const std::size_t steps = written.size();
  py::array_t<double> seconds({rounds, static_cast<py::ssize_t>(steps)});
  const std::span<double> all(seconds.mutable_data(), static_cast<std::size_t>(seconds.size()));
  const py::gil_scoped_release released;
  std::ranges::fill(all, 0.0);
  for (std::size_t first = 0; first < all.size(); first += steps) {
    engine.profile(*plan, sources.data, targets.data, all.subspan(first, steps));
  }
  engine.return_plan(std::move(plan));
  return {std::move(written), std::move(seconds)};
}

py::dict describe_step(const engine::PlannedStep& step) {
  py::dict described;
  described["output"] = step.output;
  described["quantized"] = step.quantized;
  described["absorbed"] = step.absorbed;
  described["inputs"] = step.inputs;
  described["parts"] = step.parts;
  described["candidate"] = step.candidate;
  return described;
}

/// Returns the steps of a plan, where its tensors lie and the bytes it takes.
py::dict describe_plan(Engine& engine, const std::vector<Extents>& shapes,
                       const std::vector<int>& outputs) {
  Sources sources;
  for (const Extents& shape : shapes) {
    sources.shapes.emplace_back(std::span<const Index>(shape));
  }
  std::unique_ptr<Plan> plan = borrow_plan(engine, sources, outputs);
  py::list steps;
  for (const engine::PlannedStep& step : plan->steps) steps.append(describe_step(step));
  py::dict borders;
  py::dict slices;
  py::dict aliases;
  for (std::size_t i = 0; i < engine.tensor_count(); ++i) {
    const engine::Home& home = plan->homes[i];
    const ops::Border& border = plan->tensors[i].border;
    const py::int_ tensor(i);
    if (border != ops::Border{}) {
      borders[tensor] = py::make_tuple(border.top, border.left, border.bottom, border.right);
    }
    if (home.kind == engine::Home::Kind::kSlice) slices[tensor] = home.block;
    if (home.kind == engine::Home::Kind::kAlias) aliases[tensor] = home.block;
  }
  py::dict described;
  described["steps"] = steps;
  described["borders"] = borders;
  described["slices"] = slices;
  described["aliases"] = aliases;
  described["arena_bytes"] = plan->arena.size();
  described["scratch_bytes"] = plan->scratch.size();
  engine.return_plan(std::move(plan));
  return described;
}

const char* share_weights(Engine& engine, int file) {
  const py::gil_scoped_release released;
  switch (engine.share_weights(file)) {
    case Sharing::kShared:
      return "shared";
    case Sharing::kUnequal:
      return "unequal";
    case Sharing::kImpossible:
      break;
  }
  return "impossible";
}

void define_engine(py::module_& module) {
  py::class_<Engine>(module, "Engine", "Packed weights, kernels and cached plans of one program.")
      .def(py::init(&make_engine), py::arg("program"), py::arg("threads"), py::arg("isa"),
           py::arg("most_bytes") = py::none(), py::arg("most_work") = py::none(),
           py::arg("tune") = true, py::arg("most_weight_bytes") = py::none())
      .def_property_readonly("threads", &Engine::threads)
      .def_property_readonly("isa",
                             [](const Engine& self) { return std::string(name_of(self.isa())); })
      .def_property_readonly("cached_plan_count", &Engine::cached_plan_count)
      .def_property_readonly("memory_bytes", &Engine::memory_bytes)
      .def_property_readonly("shareable_bytes", &Engine::shareable_bytes)
      .def("share_weights", &share_weights, py::arg("file"))
      .def("drop_plans", &Engine::drop_plans, py::call_guard<py::gil_scoped_release>())
      .def("run", &run, py::arg("inputs"), py::arg("outputs"))
      .def("run_planned", &run_planned, py::arg("inputs"), py::arg("outputs"))
      .def("time_runs", &time_runs, py::arg("inputs"), py::arg("outputs"), py::arg("rounds"))
      .def("time_steps", &time_steps, py::arg("inputs"), py::arg("outputs"), py::arg("rounds"))
      .def("describe_plan", &describe_plan, py::arg("shapes"), py::arg("outputs"));
}

/// Raises the class of smidgen.errors with this name.
void raise(const char* class_name, const Error& error) {
  const py::object type = py::module_::import("smidgen.errors").attr(class_name);
  const py::object instance = type(error.what(), py::arg("reason") = error.reason());
  PyErr_SetObject(type.ptr(), instance.ptr());
}

void translate(std::exception_ptr thrown) {
  try {
    std::rethrow_exception(std::move(thrown));
  } catch (const EngineError& error) {
    raise("EngineError", error);
  } catch (const TensorError& error) {
    raise("InvalidTensorError", error);
  } catch (const ProgramError& error) {
    raise("ProgramError", error);
  }
}

}  // namespace

PYBIND11_MODULE(_engine, module) {
  module.doc() = "The integer engine; smidgen.engine is its interface.";
  py::register_local_exception_translator(&translate);
  module.def("available_isas", [] {
    std::vector<std::string> names;
    for (const Isa isa : available_isas()) names.emplace_back(name_of(isa));
    return names;
  });
  module.def(
      "measure_peak",
      [](const std::string& isa) {
        const Isa level = choose_isa(isa, std::nullopt);
        const py::gil_scoped_release released;
        return kernels::measure_peak(level);
      },
      py::arg("isa"));
  module.def(
      "first_not_finite",
      [](const py::array_t<float, kReadable>& values) {
        const std::span all(values.data(), static_cast<std::size_t>(values.size()));
        std::optional<py::gil_scoped_release> released;
        if (all.size() >= kLongForThreads) released.emplace();
        const std::size_t found = first_not_finite(all);
        released.reset();
        return found == all.size() ? -1 : static_cast<py::ssize_t>(found);
      },
      py::arg("values"));
  define_program(module);
  define_engine(module);
  bindings::define_bytes_run(module);
  bindings::define_run_queue(module);
  bindings::define_training(module);
  bindings::define_pixels(module);
}

}  // namespace smidgen
