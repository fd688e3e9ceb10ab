#include "base/memory_region.h"

#include "base/aligned_buffer.h"

namespace smidgen {
namespace {

thread_local MemoryRegion* current_region = nullptr;

}  // namespace

MemoryRegion::MemoryRegion(Index bytes) noexcept
    : memory_(bytes), begin_(memory_.data()), size_(begin_ == nullptr ? 0 : bytes) {}

MemoryRegion::MemoryRegion(std::span<std::byte> memory) noexcept
    : begin_(memory.data()), size_(static_cast<Index>(memory.size())) {}

std::byte* MemoryRegion::take(Index bytes) noexcept {
  const Index taken = round_up(bytes, kAlignment);
  wanted_ += taken;
  if (taken > size_ - used_) return nullptr;
  std::byte* const begin = begin_ + used_;
  used_ += taken;
  return begin;
}

Sharing MemoryRegion::share(int file) noexcept {
  if (memory_.data() == nullptr) return Sharing::kImpossible;
  size_ = used_;  // the rest of the last page goes along
  const Sharing found = share_memory({begin_, static_cast<std::size_t>(used_)}, file);
  // Else the rest of a huge page would keep all of it.
  if (found == Sharing::kShared) memory_.give_back_behind(used_);
  return found;
}

MemoryRegion::Scope::Scope(MemoryRegion& region) noexcept : outer_(current_region) {
  current_region = &region;
}

MemoryRegion::Scope::~Scope() { current_region = outer_; }

MemoryRegion* MemoryRegion::current() noexcept { return current_region; }

}  // namespace smidgen
