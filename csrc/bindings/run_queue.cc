#include "bindings/run_queue.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>
#include <unistd.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "base/error.h"
#include "bindings/arrays.h"
#include "bindings/program.h"
#include "engine/run_queue.h"

namespace smidgen::bindings {
namespace {

using engine::Engine;
using engine::QueuedRun;
using engine::RunQueue;

using Requests = std::vector<std::vector<py::array>>;

/// Returns the shapes of all inputs together. Throws TensorError if they cannot be joined.
std::vector<Shape> joined_shapes(const Engine& engine, const Requests& requests) {
  if (requests.empty()) throw TensorError("there is no request to run", "INPUT_MISSING");
  std::vector<Shape> joined = Sources(engine, requests[0]).shapes;
  for (std::size_t request = 1; request < requests.size(); ++request) {
    const std::vector<Shape> shapes = Sources(engine, requests[request]).shapes;
    for (std::size_t input = 0; input < joined.size(); ++input) {
      const Shape& first = joined[input];
      const Shape& other = shapes[input];
      if (first.rank() == 0 || other.rank() == 0 ||
          with_extent(first, 0, 1) != with_extent(other, 0, 1)) {
        throw TensorError("input " + std::to_string(input) + " of request " +
                          std::to_string(request) + " has shape " + other.to_string() +
                          ", which cannot be joined with " + first.to_string());
      }
      joined[input] = with_extent(first, 0, saturating_sum(first[0], other[0]));
    }
  }
  return joined;
}

std::vector<QueuedRun::Inputs> bytes_of(const Requests& requests) {
  std::vector<QueuedRun::Inputs> found;
  for (const auto& arrays : requests) {
    QueuedRun::Inputs& inputs = found.emplace_back();
    for (const py::array& array : arrays) {
      inputs.emplace_back(static_cast<const std::byte*>(array.data()),
                          static_cast<std::size_t>(array.nbytes()));
    }
  }
  return found;
}

/// A run that keeps what it reads. Its last owner is a Python object or a queue, which is one, so
/// that the interpreter lock is held when it goes.
class KeepingRun : public QueuedRun {
 public:
  KeepingRun(py::object engine, Requests requests, std::vector<int> outputs)
      : QueuedRun(engine.cast<Engine&>(), joined_shapes(engine.cast<Engine&>(), requests),
                  bytes_of(requests), outputs),
        engine_(std::move(engine)),
        requests_(std::move(requests)),
        outputs_(std::move(outputs)) {}

  DType dtype_of_output(std::size_t output) const {
    return engine_.cast<Engine&>().dtype_of(outputs_[output]);
  }

 private:
  py::object engine_;
  Requests requests_;
  std::vector<int> outputs_;
};

py::array array_of(QueuedRun::Output output, DType dtype) {
  Extents extents;
  for (int axis = 0; axis < output.shape.rank(); ++axis) extents.push_back(output.shape[axis]);
  auto kept = std::make_unique<AlignedBuffer>(std::move(output.values));
  const void* const values = kept->data();
  const py::capsule owner(kept.release(),
                          [](void* buffer) { delete static_cast<AlignedBuffer*>(buffer); });
  return py::array(numpy_dtype(dtype), extents, values, owner);
}

std::vector<py::array> take_outputs(KeepingRun& run) {
  std::vector<QueuedRun::Output> outputs = run.take_outputs();
  std::vector<py::array> arrays;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    arrays.push_back(array_of(std::move(outputs[i]), run.dtype_of_output(i)));
  }
  return arrays;
}

std::vector<std::tuple<std::size_t, std::size_t, std::size_t>> not_finite(const KeepingRun& run) {
  std::vector<std::tuple<std::size_t, std::size_t, std::size_t>> found;
  for (const auto& [request, input, index] : run.not_finite()) {
    found.emplace_back(request, input, index);
  }
  return found;
}

std::vector<std::shared_ptr<KeepingRun>> take_ended(RunQueue& queue) {
  std::vector<std::shared_ptr<KeepingRun>> found;
  for (std::shared_ptr<QueuedRun>& run : queue.take_ended()) {
    found.push_back(std::static_pointer_cast<KeepingRun>(std::move(run)));
  }
  return found;
}

/// A queue whose threads are there. A child of fork() has none of them, and what they have locked
/// stays locked: there it is left as it is, memory and all.
class OwnQueue {
 public:
  explicit OwnQueue(int threads)
      : queue_(std::make_unique<RunQueue>(threads)), process_(getpid()) {}

  ~OwnQueue() {
    if (!is_here()) {
      static_cast<void>(queue_.release());
      return;
    }
    queue_->withdraw_all();  // their arrays go under the interpreter lock
    close();
  }
  OwnQueue(const OwnQueue&) = delete;
  OwnQueue& operator=(const OwnQueue&) = delete;

  RunQueue& get() {
    if (!is_here()) {
      throw EngineError("the queue belongs to the parent of this process; make another one",
                        "RUN_QUEUE_FORKED");
    }
    return *queue_;
  }

  void close() {
    if (!is_here()) return;
    const py::gil_scoped_release released;
    queue_->close();
  }

 private:
  bool is_here() const { return getpid() == process_; }

  std::unique_ptr<RunQueue> queue_;
  pid_t process_;
};

}  // namespace

void define_run_queue(py::module_& module) {
  py::class_<KeepingRun, std::shared_ptr<KeepingRun>>(module, "QueuedRun",
                                                      "A run that waits, computes or has ended.")
      .def("take_outputs", &take_outputs)
      .def_property_readonly("not_finite", &not_finite)
      .def_property_readonly("times", [](const KeepingRun& run) {
        const QueuedRun::Times& times = run.times();
        return std::tuple(times.started, times.input, times.compute, times.cpu);
      });
  py::class_<OwnQueue>(module, "RunQueue", "Threads that compute, and the runs that wait for them.")
      .def(py::init<int>(), py::arg("threads"))
      .def(
          "submit",
          [](OwnQueue& queue, py::object engine, Requests requests, std::vector<int> outputs) {
            auto run = std::make_shared<KeepingRun>(std::move(engine), std::move(requests),
                                                    std::move(outputs));
            queue.get().submit(run);
            return run;
          },
          py::arg("engine"), py::arg("requests"), py::arg("outputs"))
      .def(
          "withdraw",
          [](OwnQueue& queue, const KeepingRun& run) { return queue.get().withdraw(run); },
          py::arg("run"))
      .def("take_ended", [](OwnQueue& queue) { return take_ended(queue.get()); })
      .def_property_readonly("ended_file", [](OwnQueue& queue) { return queue.get().ended_file(); })
      .def("close", &OwnQueue::close);
}

}  // namespace smidgen::bindings
