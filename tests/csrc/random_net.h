#pragma once

#include <cstdint>

#include "sample_nets.h"

namespace smidgen::engine {

/// A net of random steps on one image, each of which reads what an earlier one wrote.
SampleNet random_image_net(std::uint64_t seed);

/// The same on rows of floats.
SampleNet random_float_net(std::uint64_t seed);

}  // namespace smidgen::engine
