#include "engine/run_queue.h"

#if defined(__linux__)
#include <pthread.h>
#endif

#include <algorithm>
#include <iterator>
#include <string>
#include <system_error>
#include <utility>

#include "base/error.h"
#include "base/thread_count.h"

namespace smidgen::engine {
namespace {

constexpr int kMostThreads = 4096;  // each waits for most of the time, or computes

/// For those who look at a process from outside.
void name_thread() noexcept {
#if defined(__linux__)
  pthread_setname_np(pthread_self(), "smidgen-run");
#endif
}

}  // namespace

RunQueue::RunQueue(int threads) {
  try {
    start(checked_thread_count(threads, kMostThreads));
  } catch (const std::system_error& error) {
    close();
    throw EngineError("the system refused one of " + std::to_string(threads) + " threads (" +
                          error.what() + "), ask for fewer",
                      "THREADS_UNAVAILABLE");
  }
}

RunQueue::~RunQueue() {
  withdraw_all();
  close();
}

void RunQueue::start(int threads) {
  threads_.reserve(static_cast<std::size_t>(threads));
  for (int thread = 0; thread < threads; ++thread) {
    threads_.emplace_back([this] { work(); });
  }
}

void RunQueue::submit(std::shared_ptr<QueuedRun> run) {
  Runs one;
  one.push_back(std::move(run));
  {
    const std::lock_guard lock(mutex_);
    if (is_closed_) throw EngineError("the queue is closed; make another one", "RUN_QUEUE_CLOSED");
    waiting_.splice(waiting_.end(), one);
  }
  came_.notify_one();
}

bool RunQueue::withdraw(const QueuedRun& run) {
  Runs withdrawn;  // released after the lock
  const std::lock_guard lock(mutex_);
  const auto found =
      std::ranges::find_if(waiting_, [&](const auto& waiting) { return waiting.get() == &run; });
  if (found == waiting_.end()) return false;
  withdrawn.splice(withdrawn.end(), waiting_, found);
  return true;
}

void RunQueue::withdraw_all() {
  Runs withdrawn;  // released after the lock
  const std::lock_guard lock(mutex_);
  withdrawn.swap(waiting_);
}

std::vector<std::shared_ptr<QueuedRun>> RunQueue::take_ended() {
  Runs ended;
  // In this order: what ends in between rings once more.
  ended_bell_.silence();
  {
    const std::lock_guard lock(mutex_);
    ended.swap(ended_);
  }
  return {std::make_move_iterator(ended.begin()), std::make_move_iterator(ended.end())};
}

void RunQueue::close() noexcept {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  came_.notify_all();
  const std::lock_guard lock(threads_mutex_);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void RunQueue::work() noexcept {
  name_thread();
  Runs own;  // the one that is computed; moved from list to list, which takes no memory
  std::unique_lock lock(mutex_);
  while (true) {
    came_.wait(lock, [this] { return is_closed_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    own.splice(own.end(), waiting_, waiting_.begin());
    lock.unlock();
    own.front()->compute();
    lock.lock();
    const bool is_first = ended_.empty();
    ended_.splice(ended_.end(), own);
    if (is_first) ended_bell_.ring();
  }
}

}  // namespace smidgen::engine
