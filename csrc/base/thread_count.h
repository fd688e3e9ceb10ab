#pragma once

namespace smidgen {

inline constexpr int kMostThreads = 256;

/// Returns a number of threads that somebody asked for. Throws EngineError unless it is 1 to
/// kMostThreads.
int checked_thread_count(int threads);

}  // namespace smidgen
