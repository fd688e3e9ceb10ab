#include "engine/preparation.h"

#include "base/error.h"

namespace smidgen::engine {

void Preparation::expect_type(int index, DType dtype) const {
  if (tensor(index).dtype == dtype) return;
  throw ProgramError("tensor '" + tensor(index).name + "' is " +
                     std::string(name_of(tensor(index).dtype)) + ", expected " +
                     std::string(name_of(dtype)));
}

const Constant& Preparation::constant(int index, DType dtype, int rank) const {
  if (index >= 0 && static_cast<std::size_t>(index) < program_.constants.size()) {
    const Constant& constant = program_.constants[static_cast<std::size_t>(index)];
    const auto bytes =
        static_cast<std::size_t>(constant.shape.element_count() * size_of(constant.dtype));
    if (constant.dtype == dtype && constant.shape.rank() == rank &&
        constant.bytes.size() == bytes) {
      return constant;
    }
  }
  throw ProgramError("constant " + std::to_string(index) + " is missing or not " +
                     std::string(name_of(dtype)) + " of rank " + std::to_string(rank));
}

}  // namespace smidgen::engine
