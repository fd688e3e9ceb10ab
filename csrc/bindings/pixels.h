#pragma once

#include <pybind11/pybind11.h>

namespace smidgen::bindings {

/// Defines what makes samples of pixels.
void define_pixels(pybind11::module_& module);

}  // namespace smidgen::bindings
