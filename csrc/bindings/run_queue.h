#pragma once

#include <pybind11/pybind11.h>

namespace smidgen::bindings {

/// Defines QueuedRun and RunQueue.
void define_run_queue(pybind11::module_& module);

}  // namespace smidgen::bindings
