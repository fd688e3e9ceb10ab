#pragma once

#include <cstddef>

#include "base/shape.h"

namespace smidgen {

/// Zeroed address space for many buffers that live equally long, such as the packed weights of an
/// engine. In one piece they can lie in huge pages, whose addresses a CPU translates faster, and
/// leave no holes in the heap. Pages that no buffer touches take no memory.
class MemoryRegion {
 public:
  /// Lets the region have room for up to `bytes`. Without memory or a system call for it, the
  /// region has room for nothing.
  explicit MemoryRegion(Index bytes) noexcept;
  ~MemoryRegion();
  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;

  /// The next bytes, aligned to kAlignment, or null if too few are left.
  std::byte* take(Index bytes) noexcept;

  /// While it lives, each AlignedBuffer that this thread makes takes its memory from the region, as
  /// long as there is room, and must not outlive it.
  class Scope {
   public:
    explicit Scope(MemoryRegion& region) noexcept;
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    MemoryRegion* outer_;
  };

  /// The region of the innermost scope on this thread, or null.
  static MemoryRegion* current() noexcept;

 private:
  std::byte* reserved_ = nullptr;
  std::size_t reserved_bytes_ = 0;
  std::byte* next_ = nullptr;
  std::byte* end_ = nullptr;
};

/// The size of huge pages where there are any.
inline constexpr Index kHugePage = Index{2} << 20;

/// Asks the system to back a range that is aligned to kHugePage by huge pages. It need not.
void prefer_huge_pages(std::byte* begin, Index bytes) noexcept;

}  // namespace smidgen
