#include "bindings/arrays.h"

#include <cstdint>
#include <span>
#include <string>

#include "base/error.h"

namespace smidgen::bindings {
DType dtype_of(const py::dtype& dtype) {
  switch (dtype.kind()) {
    case 'u':
      if (dtype.itemsize() == 1) return DType::kUInt8;
      break;
    case 'i':
      if (dtype.itemsize() == 1) return DType::kInt8;
      if (dtype.itemsize() == 4) return DType::kInt32;
      if (dtype.itemsize() == 8) return DType::kInt64;
      break;
    case 'f':
      if (dtype.itemsize() == 4) return DType::kFloat32;
      break;
    case 'b':
      return DType::kBool;
    default:
      break;
  }
  throw ProgramError("dtype " + py::str(dtype).cast<std::string>() +
                     " is not one of uint8, int8, int32, int64, float32, bool");
}

// By number: a name would be parsed for each output of each run.
py::dtype numpy_dtype(DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
      return py::dtype::of<std::uint8_t>();
    case DType::kInt8:
      return py::dtype::of<std::int8_t>();
    case DType::kInt32:
      return py::dtype::of<std::int32_t>();
    case DType::kInt64:
      return py::dtype::of<std::int64_t>();
    case DType::kFloat32:
      return py::dtype::of<float>();
    case DType::kBool:
      return py::dtype::of<bool>();
  }
  throw ProgramError("the tensor has no type of numpy's");
}

Shape shape_of(const py::array& array) {
  return Shape(std::span<const Index>(array.shape(), static_cast<std::size_t>(array.ndim())));
}

namespace {

/// Checks what a plan does not see of the inputs of a run. Throws TensorError.
void check_inputs(const engine::Engine& engine, const std::vector<py::array>& inputs) {
  const std::span<const int> declared = engine.inputs();
  if (inputs.size() != declared.size()) {
    throw TensorError("the run has " + std::to_string(inputs.size()) + " inputs, expected " +
                          std::to_string(declared.size()),
                      "INPUT_MISSING");
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const py::dtype dtype = inputs[i].dtype();
    const bool is_readable =
        (inputs[i].flags() & kReadable) == kReadable && dtype.byteorder() != '>';
    if (is_readable && dtype.num() == numpy_dtype(engine.dtype_of(declared[i])).num()) continue;
    throw TensorError("input " + std::to_string(i) + " is " +
                          (is_readable ? py::str(dtype).cast<std::string>() : "not contiguous") +
                          ", expected contiguous " +
                          std::string(name_of(engine.dtype_of(declared[i]))),
                      "TENSOR_DTYPE_MISMATCH");
  }
}

}  // namespace

Sources::Sources(const engine::Engine& engine, const std::vector<py::array>& inputs) {
  check_inputs(engine, inputs);
  for (const py::array& input : inputs) {
    shapes.push_back(shape_of(input));
    data.push_back(static_cast<const std::byte*>(input.data()));
  }
}

}  // namespace smidgen::bindings
