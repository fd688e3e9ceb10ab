#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>
#include <utility>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/memory_region.h"
#include "check.h"

// Memory for what kernels read and write, against a fence: a page that nobody may touch, so that
// one byte too many ends the test there and then, whatever reads it.

namespace smidgen::test {

inline constexpr std::uint8_t kPoison = 0xA5;

/// Zeroed pages with a fence before the first and one behind the last.
class FencedPages {
 public:
  explicit FencedPages(Index bytes)
      : inside_(round_up(std::max(bytes, Index{1}), page())), mapping_(map(inside_ + 2 * page())) {
    mprotect(begin(), static_cast<std::size_t>(inside_), PROT_READ | PROT_WRITE);
  }
  FencedPages(FencedPages&& other) noexcept
      : inside_(other.inside_), mapping_(std::exchange(other.mapping_, nullptr)) {}
  FencedPages(const FencedPages&) = delete;
  FencedPages& operator=(const FencedPages&) = delete;
  FencedPages& operator=(FencedPages&&) = delete;
  ~FencedPages() {
    if (mapping_ != nullptr) munmap(mapping_, static_cast<std::size_t>(inside_ + 2 * page()));
  }

  std::byte* begin() const { return mapping_ + page(); }
  std::byte* end() const { return begin() + inside_; }

 private:
  static Index page() {
    static const Index bytes = sysconf(_SC_PAGESIZE);
    return bytes;
  }

  static std::byte* map(Index bytes) {
    void* const begin = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (begin == MAP_FAILED) throw std::bad_alloc();
    return static_cast<std::byte*>(begin);
  }

  Index inside_;
  std::byte* mapping_;
};

/// The side on which a fence touches an array.
enum class Fence : std::uint8_t { kBefore, kBehind };
inline constexpr std::array kFences = {Fence::kBefore, Fence::kBehind};

/// A copy of the values that a kernel reads, against a fence.
///
/// Behind the values lie `slack` bytes that the kernel may read too, if its contract says so. What
/// they hold must not matter.
template <typename T>
class Fenced {
 public:
  explicit Fenced(std::span<const T> values, Fence fence = Fence::kBehind, Index slack = 0)
      : size_(static_cast<Index>(values.size())), pages_(bytes() + slack) {
    std::memset(pages_.begin(), kPoison, static_cast<std::size_t>(pages_.end() - pages_.begin()));
    std::byte* const first =
        fence == Fence::kBefore ? pages_.begin() : pages_.end() - slack - bytes();
    data_ = reinterpret_cast<T*>(first);
    std::ranges::copy(values, data_);
  }
  explicit Fenced(const std::vector<T>& values, Fence fence = Fence::kBehind, Index slack = 0)
      : Fenced(std::span<const T>(values), fence, slack) {}

  T* data() { return data_; }
  const T* data() const { return data_; }
  const T& operator[](Index i) const { return data_[i]; }

 private:
  Index bytes() const { return size_ * static_cast<Index>(sizeof(T)); }

  Index size_;
  FencedPages pages_;
  T* data_;
};

/// Makes AlignedBuffers with a fence behind them, and lives longer than these.
class FencedMemory {
 public:
  /// The buffer's last `slack` bytes before the fence may be read beside its own; by default all
  /// that buffers have.
  AlignedBuffer buffer(Index bytes, Index slack = kSlack) {
    const Index readable = round_up(bytes + slack, kAlignment);
    const FencedPages& pages = pages_.emplace_back(readable);
    // The buffer counts on all of its slack, but does not touch it.
    MemoryRegion region(std::span(pages.end() - readable,
                                  static_cast<std::size_t>(round_up(bytes + kSlack, kAlignment))));
    const MemoryRegion::Scope scope(region);
    AlignedBuffer made(bytes);
    std::memset(made.data() + bytes, kPoison, static_cast<std::size_t>(readable - bytes));
    return made;
  }

  /// Lays what a packer made against a fence. Kernels read such arrays to their end.
  void enclose(AlignedBuffer& packed) {
    AlignedBuffer fenced = buffer(packed.size(), 0);
    std::memcpy(fenced.data(), packed.data(), static_cast<std::size_t>(packed.size()));
    packed = std::move(fenced);
  }

 private:
  std::vector<FencedPages> pages_;
};

/// Output bytes filled with a poison value, with a fence on one side and guard bytes on the other.
class GuardedBytes {
 public:
  explicit GuardedBytes(Index size, Fence fence = Fence::kBehind)
      : size_(size), fence_(fence), pages_(size + kGuard) {
    std::memset(pages_.begin(), kPoison, static_cast<std::size_t>(pages_.end() - pages_.begin()));
    std::byte* const first = fence == Fence::kBefore ? pages_.begin() : pages_.end() - size;
    data_ = reinterpret_cast<std::uint8_t*>(first);
  }

  std::uint8_t* data() { return data_; }
  std::uint8_t operator[](Index i) const { return data_[i]; }

  /// Tells whether all bytes but those that `is_written(index)` allows still hold the poison.
  template <typename IsWritten>
  bool is_intact(const IsWritten& is_written) const {
    const Index first = fence_ == Fence::kBefore ? 0 : -kGuard;
    for (Index i = first; i < first + size_ + kGuard; ++i) {
      const bool may_differ = i >= 0 && i < size_ && is_written(i);
      if (!may_differ && data_[i] != kPoison) return false;
    }
    return true;
  }

 private:
  static constexpr Index kGuard = 128;

  Index size_;
  Fence fence_;
  FencedPages pages_;
  std::uint8_t* data_;
};

/// Elements from the first of the first row to the last of the last, of rows `stride` apart.
inline Index extent_of_rows(Index rows, Index stride, Index count) {
  return rows == 0 || count == 0 ? 0 : (rows - 1) * stride + count;
}

}  // namespace smidgen::test
