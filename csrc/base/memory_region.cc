#include "base/memory_region.h"

#include <cstdint>

#include "base/aligned_buffer.h"

#ifdef __linux__
#include <sys/mman.h>
#endif

namespace smidgen {
namespace {

constexpr Index kWorthHugePages = 2 * kHugePage;

thread_local MemoryRegion* current_region = nullptr;

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
std::byte* reserve(std::size_t bytes) noexcept {
  void* const begin = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return begin == MAP_FAILED ? nullptr : static_cast<std::byte*>(begin);
}

void release(std::byte* begin, std::size_t bytes) noexcept { munmap(begin, bytes); }
#else
// AddressSanitizer guards the ends of buffers only if each comes from the heap.
std::byte* reserve(std::size_t /*bytes*/) noexcept { return nullptr; }
void release(std::byte* /*begin*/, std::size_t /*bytes*/) noexcept {}
#endif

std::byte* align(std::byte* address, Index alignment) {
  const auto value = reinterpret_cast<std::uintptr_t>(address);
  const auto mask = static_cast<std::uintptr_t>(alignment) - 1;
  return address + (((value + mask) & ~mask) - value);
}

}  // namespace

MemoryRegion::MemoryRegion(Index bytes) noexcept
    : reserved_bytes_(static_cast<std::size_t>(round_up(bytes, kAlignment) + kHugePage)) {
  reserved_ = reserve(reserved_bytes_);
  if (reserved_ == nullptr) return;
  next_ = align(reserved_, kHugePage);
  end_ = next_ + round_up(bytes, kAlignment);
  if (bytes >= kWorthHugePages) prefer_huge_pages(next_, bytes);
}

MemoryRegion::~MemoryRegion() {
  if (reserved_ != nullptr) release(reserved_, reserved_bytes_);
}

std::byte* MemoryRegion::take(Index bytes) noexcept {
  const Index taken = round_up(bytes, kAlignment);
  if (taken > end_ - next_) return nullptr;
  std::byte* const begin = next_;
  next_ += taken;
  return begin;
}

MemoryRegion::Scope::Scope(MemoryRegion& region) noexcept : outer_(current_region) {
  current_region = &region;
}

MemoryRegion::Scope::~Scope() { current_region = outer_; }

MemoryRegion* MemoryRegion::current() noexcept { return current_region; }

void prefer_huge_pages(std::byte* begin, Index bytes) noexcept {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  // Refused by kernels without huge pages, which does no harm.
  static_cast<void>(madvise(begin, static_cast<std::size_t>(bytes), MADV_HUGEPAGE));
#else
  static_cast<void>(begin);
  static_cast<void>(bytes);
#endif
}

}  // namespace smidgen
