#pragma once

#include <memory>

#include "base/isa.h"
#include "engine/program.h"

namespace smidgen::engine {

/// Makes a step ready to run: checks it, chooses kernels for the level and packs its weights.
/// Throws ProgramError.
std::unique_ptr<ops::Operator> prepare(const Program& program, const Step& step, Isa isa);

}  // namespace smidgen::engine
