#pragma once

namespace smidgen {

/// Returns a number of threads that somebody asked for. Throws EngineError unless it is 1 to
/// `most`.
int checked_thread_count(int threads, int most);

}  // namespace smidgen
