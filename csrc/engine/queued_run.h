#pragma once

#include <atomic>
#include <cstddef>
#include <exception>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/shape.h"
#include "engine/engine.h"

namespace smidgen::engine {

/// One run of an engine on the inputs of a request, or of several that are joined along the first
/// axis. It owns its outputs; engine and inputs are the caller's, until the run has ended.
class QueuedRun {
 public:
  /// Of one request: an array for each input of the program, in logical row-major order.
  using Inputs = std::vector<std::span<const std::byte>>;

  /// A value that is a NaN or an infinity, the first of its request.
  struct NotFinite {
    std::size_t request;
    std::size_t input;
    std::size_t index;
  };

  /// Seconds.
  struct Times {
    double started;  // by the monotonic clock
    double input;    // until the inputs had been looked at and joined
    double compute;  // from there on, with planning
    double cpu;      // of the computing thread, from start to end
  };

  struct Output {
    Shape shape;
    AlignedBuffer values;
  };

  /// `shapes` are those of all inputs, joined. Each request has as many bytes of an input as its
  /// share of the first extent has.
  QueuedRun(Engine& engine, std::vector<Shape> shapes, std::vector<Inputs> requests,
            std::vector<int> outputs);
  virtual ~QueuedRun() = default;
  QueuedRun(const QueuedRun&) = delete;
  QueuedRun& operator=(const QueuedRun&) = delete;

  /// Looks whether all floats are finite, and if they are, runs. What goes wrong is kept for
  /// `take_outputs`.
  void compute() noexcept;

  /// Hands over what was computed, once; nothing if there are values that are not finite. Throws
  /// what the engine has thrown, and EngineError if the run has not ended or nothing is left.
  std::vector<Output> take_outputs();

  /// Both throw EngineError if the run has not ended.
  const std::vector<NotFinite>& not_finite() const;
  const Times& times() const;

 private:
  enum class State { kUnended, kEnded, kTaken };

  void check_ended() const;
  void look_for_not_finite();
  std::vector<const std::byte*> join();
  void run(std::span<const std::byte* const> sources);

  Engine& engine_;
  std::vector<Shape> shapes_;
  std::vector<Inputs> requests_;
  std::vector<int> output_tensors_;
  std::vector<AlignedBuffer> joined_;  // by input, where there are several requests
  std::vector<Output> outputs_;
  std::vector<NotFinite> not_finite_;
  std::exception_ptr error_;
  Times times_{};
  std::atomic<State> state_ = State::kUnended;  // what is above belongs to others from kEnded on
};

}  // namespace smidgen::engine
