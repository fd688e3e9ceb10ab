#pragma once

#include "base/shape.h"
#include "kernels/attention/attention.h"

namespace smidgen::kernels {

/// Bytes that the packed keys and values of a head take.
Index packed_keys_bytes(Index tokens, Index features);
Index packed_values_bytes(Index tokens, Index features);

}  // namespace smidgen::kernels
