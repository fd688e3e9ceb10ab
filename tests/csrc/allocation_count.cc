#include "allocation_count.h"

#include <sys/mman.h>

#include <atomic>
#include <cstdlib>
#include <new>

// The linker's option --wrap leads what the program calls here, and __real_ to what it replaced.

namespace {

std::atomic<long> count = 0;

}  // namespace

extern "C" {

void* __real_malloc(std::size_t bytes);
void* __real_calloc(std::size_t items, std::size_t bytes);
void* __real_realloc(void* memory, std::size_t bytes);
void* __real_aligned_alloc(std::size_t alignment, std::size_t bytes);
void* __real_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset);

void* __wrap_malloc(std::size_t bytes) {
  ++count;
  return __real_malloc(bytes);
}

void* __wrap_calloc(std::size_t items, std::size_t bytes) {
  ++count;
  return __real_calloc(items, bytes);
}

void* __wrap_realloc(void* memory, std::size_t bytes) {
  ++count;
  return __real_realloc(memory, bytes);
}

void* __wrap_aligned_alloc(std::size_t alignment, std::size_t bytes) {
  ++count;
  return __real_aligned_alloc(alignment, bytes);
}

void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) {
  ++count;
  return __real_mmap(at, bytes, protection, flags, file, offset);
}

}  // extern "C"

void* operator new(std::size_t bytes) {
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}

void* operator new(std::size_t bytes, std::align_val_t alignment) {
  const auto step = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(step, (bytes + step - 1) / step * step)) return memory;
  throw std::bad_alloc();
}

void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t /*alignment*/) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t /*bytes*/, std::align_val_t /*alignment*/) noexcept {
  std::free(memory);
}

namespace smidgen::test {

long allocation_count() { return count; }

}  // namespace smidgen::test
