#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/bell.h"
#include "engine/queued_run.h"

namespace smidgen::engine {

/// Runs wait here in the order in which they come, for threads that do nothing but compute.
///
/// A thread goes from one run to the next without waiting for whoever takes the results. All
/// members may be called from several threads at once.
class RunQueue {
 public:
  /// Throws EngineError if the system has no thread or file left.
  explicit RunQueue(int threads);

  /// As `close`; of runs that have not begun nothing is computed.
  ~RunQueue();
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  /// Adds a run behind the others. Throws EngineError once the queue is closed.
  void submit(std::shared_ptr<QueuedRun> run);

  /// Takes a run out of the queue; false if it has begun.
  bool withdraw(const QueuedRun& run);

  /// Takes out all runs that have not begun.
  void withdraw_all();

  /// Hands over what has ended since the last call.
  std::vector<std::shared_ptr<QueuedRun>> take_ended();

  /// Readable while `take_ended` has something to hand over.
  int ended_file() const { return ended_bell_.file(); }

  /// Ends the threads when all runs have been computed that are in the queue.
  void close() noexcept;

 private:
  using Runs = std::list<std::shared_ptr<QueuedRun>>;

  void start(int threads);
  void work() noexcept;

  std::mutex mutex_;
  std::condition_variable came_;
  bool is_closed_ = false;
  Runs waiting_;
  Runs ended_;
  Bell ended_bell_;
  std::mutex threads_mutex_;
  std::vector<std::thread> threads_;
};

}  // namespace smidgen::engine
