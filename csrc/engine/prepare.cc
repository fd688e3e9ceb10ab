#include "engine/prepare.h"

#include "engine/preparation.h"

namespace smidgen::engine {

std::unique_ptr<ops::Operator> prepare(const Program& program, const Step& step, Isa isa) {
  const Preparation preparation(program, isa);
  return std::visit([&](const auto& typed) { return prepare(typed, preparation); }, step);
}

}  // namespace smidgen::engine
