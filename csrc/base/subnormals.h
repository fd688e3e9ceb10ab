#pragma once

#include <cstdint>

namespace smidgen {

/// While it lives, this thread takes floats below 2^-126 for zero, on CPUs that can. Some CPUs
/// compute with such values a hundred times more slowly.
class FlushSubnormals {
 public:
  /// Does nothing unless `is_wanted`.
  explicit FlushSubnormals(bool is_wanted) noexcept;
  ~FlushSubnormals();
  FlushSubnormals(const FlushSubnormals&) = delete;
  FlushSubnormals& operator=(const FlushSubnormals&) = delete;

 private:
  bool is_wanted_;
  std::uint64_t before_ = 0;  // the floating-point control register
};

}  // namespace smidgen
