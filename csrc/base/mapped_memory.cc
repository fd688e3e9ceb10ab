#include "base/mapped_memory.h"

#include <cstdint>

#include "base/aligned_buffer.h"

#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

namespace smidgen {
namespace {

// AddressSanitizer guards the ends of buffers only if each comes from the heap.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
std::byte* map(std::size_t bytes) noexcept {
  void* const begin = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return begin == MAP_FAILED ? nullptr : static_cast<std::byte*>(begin);
}

void unmap(std::byte* begin, std::size_t bytes) noexcept { munmap(begin, bytes); }

/// Kernels without huge pages refuse, which does no harm.
void prefer_huge_pages(std::byte* begin, std::size_t bytes) noexcept {
  static_cast<void>(madvise(begin, bytes, MADV_HUGEPAGE));
}

Index page_bytes() noexcept { return sysconf(_SC_PAGESIZE); }

void give_back(std::byte* begin, std::size_t bytes) noexcept {
  static_cast<void>(madvise(begin, bytes, MADV_DONTNEED));
}
#else
std::byte* map(std::size_t /*bytes*/) noexcept { return nullptr; }
void unmap(std::byte* /*begin*/, std::size_t /*bytes*/) noexcept {}
void prefer_huge_pages(std::byte* /*begin*/, std::size_t /*bytes*/) noexcept {}
Index page_bytes() noexcept { return 1; }
void give_back(std::byte* /*begin*/, std::size_t /*bytes*/) noexcept {}
#endif

}  // namespace

MappedMemory::MappedMemory(Index bytes) noexcept {
  const auto total = static_cast<std::size_t>(round_up(bytes, kAlignment) + kHugePage);
  std::byte* const begin = map(total);
  if (begin == nullptr) return;
  mapping_ = {begin, Unmap{total}};
  const auto misalignment = reinterpret_cast<std::uintptr_t>(begin) % kHugePage;
  data_ = begin + (misalignment == 0 ? 0 : kHugePage - misalignment);
  if (bytes >= kHugePage) prefer_huge_pages(data_, static_cast<std::size_t>(bytes));
}

void MappedMemory::give_back_behind(Index bytes) noexcept {
  if (data_ == nullptr) return;
  std::byte* const begin = data_ + round_up(bytes, page_bytes());
  std::byte* const end = mapping_.get() + mapping_.get_deleter().bytes;
  if (begin < end) give_back(begin, static_cast<std::size_t>(end - begin));
}

void MappedMemory::Unmap::operator()(std::byte* begin) const noexcept { unmap(begin, bytes); }

}  // namespace smidgen
