#pragma once

#include "base/shape.h"

namespace smidgen::engine {

/// Where a tensor lies: in a block of its own, or in that of another tensor.
struct Home {
  enum class Kind {
    kBlock,  // in its own block
    kSlice,  // some of the channels of the block's tensor
    kAlias,  // where the block's tensor lies: its bytes in another shape, or values written over it
  };

  Kind kind = Kind::kBlock;
  int block;                // the tensor that owns the memory
  Index first_channel = 0;  // of slices
};

}  // namespace smidgen::engine
