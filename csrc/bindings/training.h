#pragma once

#include <pybind11/pybind11.h>

namespace smidgen::bindings {

/// Defines FakeQuantizer, the kernels of quantization-aware training.
void define_training(pybind11::module_& module);

}  // namespace smidgen::bindings
