#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/fake_quantize/fake_quantize.h"

namespace smidgen::kernels {

struct FakeQuantizeVariant {
  std::string_view name;
  Isa isa;
  FakeQuantizeKernel kernel;
  PassGradientKernel gradient_kernel;
  ValueRangeKernel range_kernel;
};

/// Every kernel of this kind that this build has.
std::span<const FakeQuantizeVariant> fake_quantize_variants();

}  // namespace smidgen::kernels
