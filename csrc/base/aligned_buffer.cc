#include "base/aligned_buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/memory_region.h"

namespace smidgen {
namespace {

constexpr Index kLarge = 256 * 1024;

}  // namespace

AlignedBuffer::AlignedBuffer(Index bytes) : size_(bytes) {
  const Index total = round_up(bytes + kSlack, kAlignment);
  std::byte* zeroed = nullptr;
  if (MemoryRegion* const region = MemoryRegion::current()) zeroed = region->take(total);
  if (zeroed == nullptr && total >= kLarge) {
    mapping_ = MappedMemory(total);
    zeroed = mapping_.data();
  }
  if (zeroed != nullptr) {
    data_ = {zeroed, Release{.is_borrowed = true}};
    return;
  }
  const auto size = static_cast<std::size_t>(total);
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, size)));
  if (!data_) throw std::bad_alloc();
  std::memset(data_.get(), 0, size);
}

void AlignedBuffer::Release::operator()(std::byte* data) const noexcept {
  if (!is_borrowed) std::free(data);
}

}  // namespace smidgen
