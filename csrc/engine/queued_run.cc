#include "engine/queued_run.h"

#include <chrono>
#include <cstring>
#include <ctime>
#include <memory>
#include <utility>

#include "base/error.h"
#include "base/finite.h"

namespace smidgen::engine {
namespace {

double now_s() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cpu_s() noexcept {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

}  // namespace

QueuedRun::QueuedRun(Engine& engine, std::vector<Shape> shapes, std::vector<Inputs> requests,
                     std::vector<int> outputs)
    : engine_(engine),
      shapes_(std::move(shapes)),
      requests_(std::move(requests)),
      output_tensors_(std::move(outputs)) {}

void QueuedRun::compute() noexcept {
  const double cpu_before = cpu_s();
  times_.started = now_s();
  try {
    look_for_not_finite();
    if (not_finite_.empty()) run(join());
  } catch (...) {
    error_ = std::current_exception();
  }
  times_.cpu = cpu_s() - cpu_before;
  state_.store(State::kEnded, std::memory_order_release);
}

std::vector<QueuedRun::Output> QueuedRun::take_outputs() {
  check_ended();
  if (error_ != nullptr) std::rethrow_exception(error_);
  if (state_.exchange(State::kTaken) == State::kTaken) {
    throw EngineError("the outputs of the run have been taken; they are there once", "RUN_TAKEN");
  }
  return std::move(outputs_);
}

const std::vector<QueuedRun::NotFinite>& QueuedRun::not_finite() const {
  check_ended();
  return not_finite_;
}

const QueuedRun::Times& QueuedRun::times() const {
  check_ended();
  return times_;
}

void QueuedRun::check_ended() const {
  if (state_.load(std::memory_order_acquire) == State::kUnended) {
    throw EngineError("the run has not ended; wait until the queue hands it over", "RUN_NOT_ENDED");
  }
}

void QueuedRun::look_for_not_finite() {
  const std::span<const int> inputs = engine_.inputs();
  for (std::size_t request = 0; request < requests_.size(); ++request) {
    for (std::size_t input = 0; input < inputs.size(); ++input) {
      if (engine_.dtype_of(inputs[input]) != DType::kFloat32) continue;
      const std::span<const std::byte> bytes = requests_[request][input];
      const std::span values(reinterpret_cast<const float*>(bytes.data()),
                             bytes.size() / sizeof(float));
      const std::size_t found = first_not_finite(values);
      if (found == values.size()) continue;
      not_finite_.push_back({request, input, found});
      break;
    }
  }
}

std::vector<const std::byte*> QueuedRun::join() {
  std::vector<const std::byte*> sources;
  for (std::size_t input = 0; input < shapes_.size(); ++input) {
    if (requests_.size() == 1) {
      sources.push_back(requests_[0][input].data());
      continue;
    }
    std::size_t bytes = 0;
    for (const Inputs& request : requests_) bytes += request[input].size();
    std::byte* end = joined_.emplace_back(static_cast<Index>(bytes)).data();
    sources.push_back(end);
    for (const Inputs& request : requests_) {
      std::memcpy(end, request[input].data(), request[input].size());
      end += request[input].size();
    }
  }
  return sources;
}

void QueuedRun::run(std::span<const std::byte* const> sources) {
  const double looked_at = now_s();
  times_.input = looked_at - times_.started;
  std::unique_ptr<Plan> plan = engine_.borrow_plan(shapes_, output_tensors_);
  std::vector<std::byte*> targets;
  for (const int output : output_tensors_) {
    const Shape& shape = plan->tensors[static_cast<std::size_t>(output)].shape;
    const Index bytes = shape.element_count() * size_of(engine_.dtype_of(output));
    targets.push_back(outputs_.emplace_back(shape, AlignedBuffer(bytes)).values.data());
  }
  engine_.run(*plan, sources, targets);
  engine_.return_plan(std::move(plan));
  joined_.clear();
  times_.compute = now_s() - looked_at;
}

}  // namespace smidgen::engine
