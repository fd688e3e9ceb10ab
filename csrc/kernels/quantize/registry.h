#pragma once

#include <span>
#include <string_view>

#include "base/isa.h"
#include "kernels/quantize/quantize.h"

namespace smidgen::kernels {

struct QuantizeVariant {
  std::string_view name;
  Isa isa;
  QuantizeKernel kernel;
  QuantizePlanesKernel planes_kernel;
};

/// Every kernel of this kind that this build has.
std::span<const QuantizeVariant> quantize_variants();

struct DequantizeVariant {
  std::string_view name;
  Isa isa;
  DequantizeKernel kernel;
};

/// Every kernel of this kind that this build has.
std::span<const DequantizeVariant> dequantize_variants();

}  // namespace smidgen::kernels
