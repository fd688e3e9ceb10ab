#pragma once

#include "base/partition.h"
#include "ops/operator.h"

namespace smidgen::ops {

/// Does the steps fused into another on some lines of one image, which that has just written.
void finish_lines(const Epilogue& epilogue, const TensorView& output, Index image,
                  Range lines) noexcept;

}  // namespace smidgen::ops
