#include "ops/product_epilogue.h"

#include <cmath>

#include "ops/add.h"
#include "ops/lookup.h"

namespace smidgen::ops {
namespace {

kernels::GemmAddend addend_of(const kernels::OutputRange& own, const Epilogue& epilogue) {
  const kernels::AddScales& scales = epilogue.add->scales();
  if (epilogue.is_addend_first) {
    return {own.low, own.high, scales.rhs_multiplier, scales.lhs_multiplier, scales.lhs_zero_point};
  }
  return {own.low, own.high, scales.lhs_multiplier, scales.rhs_multiplier, scales.rhs_zero_point};
}

}  // namespace

ProductEpilogue::ProductEpilogue(const kernels::OutputRange& own, const Epilogue& epilogue)
    : range_(own) {
  if (epilogue.add != nullptr) {
    range_ = epilogue.add->scales().range;
    addend_ = addend_of(own, epilogue);
  }
  if (epilogue.lookup != nullptr) {
    lookup_ = kernels::GemmLookup{epilogue.lookup->table(), epilogue.lookup->kernel()};
  }
}

bool ProductEpilogue::can_do(const Epilogue& epilogue) {
  if (epilogue.quantize != nullptr) return false;
  if (epilogue.add == nullptr) return true;
  // Then no term reaches 2^30 and their sum converts to an integer.
  constexpr float kLargestMultiplier = 4194304.0F;
  const kernels::AddScales& scales = epilogue.add->scales();
  return epilogue.lookup == nullptr && std::fabs(scales.lhs_multiplier) < kLargestMultiplier &&
         std::fabs(scales.rhs_multiplier) < kLargestMultiplier;
}

}  // namespace smidgen::ops
