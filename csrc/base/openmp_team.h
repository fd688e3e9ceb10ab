#pragma once

#include <atomic>

namespace smidgen {

/// Runs tasks on the OpenMP threads that this process has already, those of PyTorch.
///
/// They spin for a while after each of PyTorch's operators. Workers of our own would compete with
/// them for the CPUs. Where the process has no OpenMP, everything runs on the caller's thread.
class OpenMpTeam {
 public:
  OpenMpTeam() noexcept;

  /// Calls task(part) once for each part in [0, parts), on at most `threads` threads, the caller's
  /// among them, and returns when all have finished.
  template <typename Task>
  void run(int threads, int parts, const Task& task) const noexcept {
    Shared<Task> shared{task, parts};
    run_erased(threads < parts ? threads : parts, &Shared<Task>::work, &shared);
  }

 private:
  using Call = void (*)(void* shared);

  /// Each thread takes parts until there is none, so that a team may be smaller than asked for.
  template <typename Task>
  struct Shared {
    const Task& task;
    const int parts;
    std::atomic<int> next = 0;

    static void work(void* erased) {
      auto& self = *static_cast<Shared*>(erased);
      for (int part = self.next++; part < self.parts; part = self.next++) self.task(part);
    }
  };

  void run_erased(int threads, Call call, void* shared) const noexcept;

  /// GOMP_parallel(call, shared, threads, flags), the entry point of OpenMP in code by GCC, which
  /// the libraries of GNU, LLVM and Intel offer.
  using Parallel = void (*)(Call call, void* shared, unsigned threads, unsigned flags);

  Parallel parallel_;
};

}  // namespace smidgen
