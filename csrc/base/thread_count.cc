#include "base/thread_count.h"

#include <string>

#include "base/error.h"

namespace smidgen {

int checked_thread_count(int threads, int most) {
  if (threads >= 1 && threads <= most) return threads;
  throw EngineError(
      "threads is " + std::to_string(threads) + ", expected 1 to " + std::to_string(most),
      "THREADS_OUT_OF_RANGE");
}

}  // namespace smidgen
