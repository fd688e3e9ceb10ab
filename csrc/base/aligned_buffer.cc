#include "base/aligned_buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>

#include "base/memory_region.h"

namespace smidgen {

AlignedBuffer::AlignedBuffer(Index bytes) : size_(bytes) {
  const Index wanted = round_up(bytes + kSlack, kAlignment);
  MemoryRegion* const region = MemoryRegion::current();
  if (std::byte* const taken = region == nullptr ? nullptr : region->take(wanted)) {
    data_ = {taken, Release{.is_borrowed = true}};
    return;
  }
  const bool is_huge = wanted >= kHugePage;
  const Index alignment = is_huge ? kHugePage : kAlignment;
  const auto total = static_cast<std::size_t>(round_up(wanted, alignment));
  data_.reset(
      static_cast<std::byte*>(std::aligned_alloc(static_cast<std::size_t>(alignment), total)));
  if (!data_) throw std::bad_alloc();
  if (is_huge) prefer_huge_pages(data_.get(), static_cast<Index>(total));
  std::memset(data_.get(), 0, static_cast<std::size_t>(wanted));
}

void AlignedBuffer::Release::operator()(std::byte* data) const noexcept {
  if (!is_borrowed) std::free(data);
}

}  // namespace smidgen
