#pragma once

#include <cstdint>
#include <vector>

#include "check.h"

namespace smidgen::test {

/// Output bytes filled with a poison value, between two runs of guard bytes.
class GuardedBytes {
 public:
  explicit GuardedBytes(std::ptrdiff_t size)
      : size_(size), bytes_(static_cast<std::size_t>(size + 2 * kGuard), kPoison) {}

  std::uint8_t* data() { return bytes_.data() + kGuard; }
  std::uint8_t operator[](std::ptrdiff_t i) const {
    return bytes_[static_cast<std::size_t>(kGuard + i)];
  }

  /// Tells whether all bytes but those that `is_written(index)` allows still hold the poison.
  template <typename IsWritten>
  bool is_intact(const IsWritten& is_written) const {
    for (std::ptrdiff_t i = -kGuard; i < size_ + kGuard; ++i) {
      const bool may_differ = i >= 0 && i < size_ && is_written(i);
      if (!may_differ && (*this)[i] != kPoison) return false;
    }
    return true;
  }

 private:
  static constexpr std::ptrdiff_t kGuard = 128;
  static constexpr std::uint8_t kPoison = 0xA5;

  std::ptrdiff_t size_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace smidgen::test
