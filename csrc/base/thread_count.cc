#include "base/thread_count.h"

#include <string>

#include "base/error.h"

namespace smidgen {

int checked_thread_count(int threads) {
  if (threads >= 1 && threads <= kMostThreads) return threads;
  throw EngineError(
      "threads is " + std::to_string(threads) + ", expected 1 to " + std::to_string(kMostThreads),
      "THREADS_OUT_OF_RANGE");
}

}  // namespace smidgen
