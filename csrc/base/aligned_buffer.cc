#include "base/aligned_buffer.h"

#include <cstdlib>
#include <cstring>
#include <new>

namespace smidgen {

AlignedBuffer::AlignedBuffer(Index bytes) : size_(bytes) {
  const auto total = static_cast<std::size_t>(round_up(bytes + kSlack, kAlignment));
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlignment, total)));
  if (!data_) throw std::bad_alloc();
  std::memset(data_.get(), 0, total);
}

void AlignedBuffer::Release::operator()(std::byte* data) const noexcept { std::free(data); }

}  // namespace smidgen
