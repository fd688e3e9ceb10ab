#pragma once

#include <cstddef>
#include <memory>

#include "base/mapped_memory.h"
#include "base/shape.h"

namespace smidgen {

inline constexpr Index kAlignment = 64;

/// Bytes behind the end of every buffer and tensor that kernels may read, never write.
inline constexpr Index kSlack = 128;

/// Zeroed memory aligned to kAlignment, with kSlack readable bytes behind its end. It is the
/// buffer's own, or that of the MemoryRegion in whose scope the buffer is made.
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(Index bytes);

  Index size() const { return size_; }
  std::byte* data() { return data_.get(); }
  const std::byte* data() const { return data_.get(); }

  template <typename T>
  T* as() {
    return reinterpret_cast<T*>(data_.get());
  }
  template <typename T>
  const T* as() const {
    return reinterpret_cast<const T*>(data_.get());
  }

 private:
  struct Release {
    bool is_borrowed;  // from a mapping or a region
    void operator()(std::byte* data) const noexcept;
  };

  MappedMemory mapping_;  // of large buffers
  std::unique_ptr<std::byte, Release> data_;
  Index size_ = 0;
};

}  // namespace smidgen
