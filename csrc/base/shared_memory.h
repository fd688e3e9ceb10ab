#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace smidgen {

/// Whether memory can be shared here at all. AddressSanitizer has buffers on the heap, which
/// cannot.
#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
inline constexpr bool kSharesMemory = true;
#else
inline constexpr bool kSharesMemory = false;
#endif

/// What came of sharing memory.
enum class Sharing : std::uint8_t {
  kShared,      // the memory is the file's, and cannot be written any more
  kUnequal,     // the file has other bytes; the memory stays as it was
  kImpossible,  // the system does not allow it, or has no room; the memory stays as it was
};

/// Lets processes that have the same bytes keep them once.
///
/// `file` is a memfd that allows seals, the same one in all of them. The first writes its bytes and
/// seals the file, so that nobody can change it any more; each then compares its own bytes with the
/// file's, and maps the file in the place of `memory` if they are equal. The caller may close its
/// descriptor afterwards. Threads of one process must not share at the same time by the same file.
///
/// `memory` is mapped and begins a page, the rest of its last page is of no use to anybody, and
/// nobody writes to it; others may read it meanwhile.
Sharing share_memory(std::span<const std::byte> memory, int file) noexcept;

}  // namespace smidgen
