#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace smidgen {

/// Runs one task at a time in parts, on the caller's thread and workers.
///
/// Each thread has parts of its own, as many as the others and the same of every task that is cut
/// alike, so that it finds in its core's cache what it wrote there. Who has done its own takes over
/// those of others, the last first: so a caller need not wait for a worker that the system has not
/// woken yet, nor all threads for one whose core is slow. Workers spin for a few microseconds
/// between the tasks of one request and then sleep; between requests they sleep. One thread at a
/// time may call `begin`, `run` and `end`.
class ThreadPool {
 public:
  /// The most parts of a task.
  static constexpr int kMostParts = 65535;

  /// `threads` counts the caller, so it starts threads - 1 workers. Throws EngineError if the
  /// system refuses one.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// The number of threads.
  int size() const { return static_cast<int>(workers_.size()) + 1; }

  /// Marks a request, within which workers may spin.
  void begin() noexcept { busy_.store(true, std::memory_order_relaxed); }
  void end() noexcept { busy_.store(false, std::memory_order_relaxed); }

  /// Calls task(part, thread) once for each part in [0, parts), parts being at most kMostParts, and
  /// returns when all have finished. `thread` is that on which the part runs, of [0, size()).
  template <typename Task>
  void run(int parts, const Task& task) noexcept {
    run_erased(parts, &task, [](const void* erased, int part, int thread) {
      (*static_cast<const Task*>(erased))(part, thread);
    });
  }

 private:
  using Call = void (*)(const void* task, int part, int thread);

  /// The parts of a thread that nobody has claimed: the number of their task in the upper bits, the
  /// end and the begin in the lower ones.
  struct alignas(64) Share {
    std::atomic<std::uint64_t> left = 0;
  };

  void run_erased(int parts, const void* task, Call call) noexcept;
  void deal(int parts) noexcept;
  bool run_part(int thread, std::uint32_t task) noexcept;
  void publish() noexcept;
  void await_task(std::uint32_t seen) noexcept;
  void work(int thread) noexcept;
  void stop() noexcept;

  Call call_ = nullptr;
  const void* task_ = nullptr;
  std::unique_ptr<Share[]> shares_;  // by thread
  std::atomic<bool> busy_ = false;
  std::atomic<bool> stopping_ = false;
  alignas(64) std::atomic<std::uint32_t> number_ = 0;  // of the current task
  alignas(64) std::atomic<int> unfinished_ = 0;
  std::vector<std::thread> workers_;
  int threads_;
};

}  // namespace smidgen
