#pragma once

#include <optional>

#include "base/isa.h"

namespace smidgen::kernels {

/// Returns the most multiply-accumulates of bytes a second that one core does with the level's
/// instructions, or nothing for the portable level. Takes about 30 ms. The CPU must have the level.
std::optional<double> measure_peak(Isa isa);

}  // namespace smidgen::kernels
