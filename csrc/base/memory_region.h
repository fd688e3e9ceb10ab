#pragma once

#include <cstddef>
#include <span>

#include "base/mapped_memory.h"
#include "base/shared_memory.h"

namespace smidgen {

/// Zeroed memory in one piece for many buffers that live equally long, such as the packed weights
/// of an engine.
class MemoryRegion {
 public:
  /// Has room for up to `bytes`, or for nothing if the system has none to give.
  explicit MemoryRegion(Index bytes) noexcept;

  /// Hands out memory of the caller's, zeroed and aligned to kAlignment, which must outlive all
  /// buffers in it.
  explicit MemoryRegion(std::span<std::byte> memory) noexcept;
  MemoryRegion(const MemoryRegion&) = delete;
  MemoryRegion& operator=(const MemoryRegion&) = delete;

  /// The next bytes, aligned to kAlignment, or null if too few are left.
  std::byte* take(Index bytes) noexcept;

  /// Bytes handed out and, beyond what had room, asked for.
  Index wanted_bytes() const noexcept { return wanted_; }

  /// Bytes handed out.
  Index used_bytes() const noexcept { return used_; }

  /// Lets what was handed out be shared with other processes, as share_memory does; then nobody may
  /// write it any more, and nothing more is handed out. Memory of a caller's is never shared.
  Sharing share(int file) noexcept;

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
  MappedMemory memory_;  // none if the memory is the caller's
  std::byte* begin_;
  Index used_ = 0;
  Index wanted_ = 0;
  Index size_;
};

}  // namespace smidgen
