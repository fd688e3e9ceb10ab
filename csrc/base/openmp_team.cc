#include "base/openmp_team.h"

#include <dlfcn.h>

namespace smidgen {

OpenMpTeam::OpenMpTeam() noexcept
    : parallel_(reinterpret_cast<Parallel>(dlsym(RTLD_DEFAULT, "GOMP_parallel"))) {}

void OpenMpTeam::run_erased(int threads, Call call, void* shared) const noexcept {
  if (threads <= 1 || parallel_ == nullptr) {
    call(shared);
  } else {
    parallel_(call, shared, static_cast<unsigned>(threads), 0);
  }
}

}  // namespace smidgen
