#pragma once

#include <cstddef>
#include <span>

namespace smidgen {

/// Returns the index of the first value that is a NaN or an infinity; their number if none is.
std::size_t first_not_finite(std::span<const float> values) noexcept;

}  // namespace smidgen
