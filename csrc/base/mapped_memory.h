#pragma once

#include <cstddef>
#include <memory>

#include "base/shape.h"

namespace smidgen {

/// The size of huge pages where there are any.
inline constexpr Index kHugePage = Index{2} << 20;

/// Zeroed memory straight from the system and back to it, so that it leaves no holes in the heap.
/// Pages that nobody touches take nothing.
class MappedMemory {
 public:
  MappedMemory() = default;

  /// Maps memory and lets it lie in huge pages, whose addresses a CPU translates faster, if it
  /// fills some.
  explicit MappedMemory(Index bytes) noexcept;

  /// Aligned to kHugePage; null if the system has none to give.
  std::byte* data() const noexcept { return data_; }

  /// Gives back what lies behind so many bytes and the rest of their page; there it is zero again.
  void give_back_behind(Index bytes) noexcept;

 private:
  struct Unmap {
    std::size_t bytes;
    void operator()(std::byte* begin) const noexcept;
  };

  std::unique_ptr<std::byte, Unmap> mapping_;
  std::byte* data_ = nullptr;
};

}  // namespace smidgen
