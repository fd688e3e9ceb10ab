#include <array>
#include <cstddef>
#include <fstream>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/memory_region.h"
#include "base/shared_memory.h"
#include "check.h"

#ifdef __linux__
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

namespace smidgen {
namespace {

/// A region that is full of buffers, always with the same bytes.
struct Weights {
  explicit Weights(Index bytes) : region(2 * bytes + 200'000) {
    unsigned state = 0;
    const MemoryRegion::Scope scope(region);
    for (Index left = bytes; left > 0; left -= 100'000) buffers.emplace_back(100'000);
    for (AlignedBuffer& buffer : buffers) {
      for (Index i = 0; i < buffer.size(); ++i) {
        state = state * 1664525 + 1013904223;
        buffer.data()[i] = static_cast<std::byte>(state >> 24);
      }
    }
  }

  std::vector<std::byte> values() const {
    std::vector<std::byte> all;
    for (const AlignedBuffer& buffer : buffers) {
      all.insert(all.end(), buffer.data(), buffer.data() + buffer.size() + kSlack);
    }
    return all;
  }

  MemoryRegion region;
  std::vector<AlignedBuffer> buffers;
};

constexpr Index kBytes = 3 * kHugePage;

#ifdef __linux__

constexpr const char* kName = "smidgen-test-weights";

/// A file in memory.
class File {
 public:
  explicit File(unsigned flags = MFD_ALLOW_SEALING)
      : descriptor_(memfd_create(kName, flags | MFD_CLOEXEC)) {}
  ~File() { close(descriptor_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

/// How often files in memory are mapped by this process, whoever may write there.
int mappings() {
  std::ifstream maps("/proc/self/maps");
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    count += line.find(kName) != std::string::npos ? 1 : 0;
  }
  return count;
}

bool becomes_writable(const std::byte* memory) {
  return mprotect(const_cast<std::byte*>(memory), 4096, PROT_READ | PROT_WRITE) == 0;
}

TEST(regions_with_equal_bytes_become_one_file) {
  if (!kSharesMemory) return;
  Weights own(kBytes);
  Weights first(kBytes);
  {
    Weights second(kBytes);
    {
      const File file;
      CHECK_EQUAL(first.region.share(file.descriptor()), Sharing::kShared);
      CHECK_EQUAL(mappings(), 1);
      CHECK_EQUAL(second.region.share(file.descriptor()), Sharing::kShared);
      CHECK_EQUAL(second.region.share(file.descriptor()), Sharing::kShared);  // changes nothing
    }
    CHECK_EQUAL(mappings(), 2);
    CHECK(first.values() == own.values());
    CHECK(second.values() == own.values());
    CHECK(second.region.take(1) == nullptr);
  }
  CHECK_EQUAL(mappings(), 1);
  CHECK(first.values() == own.values());
}

TEST(nothing_of_a_file_stays_mapped_when_its_last_region_goes) {
  if (!kSharesMemory) return;
  const File file;
  {
    CHECK_EQUAL(Weights(kBytes).region.share(file.descriptor()), Sharing::kShared);
  }
  CHECK_EQUAL(mappings(), 0);
}

TEST(small_regions_can_be_shared_too) {
  if (!kSharesMemory) return;
  const File file;
  Weights first(1);
  CHECK_EQUAL(first.region.share(file.descriptor()), Sharing::kShared);
  CHECK(first.values() == Weights(1).values());
}

TEST(nobody_can_write_what_is_shared) {
  if (!kSharesMemory) return;
  const File file;
  Weights weights(kBytes);
  CHECK_EQUAL(weights.region.share(file.descriptor()), Sharing::kShared);
  CHECK(!becomes_writable(weights.buffers[0].data()));
  const char byte = 1;
  CHECK_EQUAL(pwrite(file.descriptor(), &byte, 1, 0), -1);
  CHECK_EQUAL(ftruncate(file.descriptor(), 0), -1);
  CHECK_EQUAL(fcntl(file.descriptor(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  CHECK(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file.descriptor(), 0) ==
        MAP_FAILED);
}

TEST(no_huge_page_is_kept_for_its_rest) {
  if (!kSharesMemory) return;
  const File file;
  Weights weights(kBytes);
  CHECK_EQUAL(weights.region.share(file.descriptor()), Sharing::kShared);
  const Index page = sysconf(_SC_PAGESIZE);
  const Index used = weights.region.used_bytes();
  for (Index at = round_up(used, page); at < round_up(used, kHugePage); at += page) {
    unsigned char is_resident = 0;
    std::byte* const behind = weights.buffers[0].data() + at;
    CHECK_EQUAL(mincore(behind, static_cast<std::size_t>(page), &is_resident), 0);
    CHECK_EQUAL(is_resident & 1, 0);
  }
}

TEST(regions_with_other_bytes_stay_what_they_are) {
  if (!kSharesMemory) return;
  const File file;
  Weights first(kBytes);
  CHECK_EQUAL(first.region.share(file.descriptor()), Sharing::kShared);
  Weights changed(kBytes);
  changed.buffers.back().data()[changed.buffers.back().size() - 1] ^= std::byte{1};
  Weights shorter(kBytes - 200'000);
  Weights longer(kBytes + 200'000);
  for (Weights* other : {&changed, &shorter, &longer}) {
    const std::vector<std::byte> before = other->values();
    CHECK_EQUAL(other->region.share(file.descriptor()), Sharing::kUnequal);
    CHECK(other->values() == before);
    other->buffers[0].data()[0] ^= std::byte{1};
    CHECK(other->values() != before);
  }
  CHECK_EQUAL(mappings(), 1);
}

TEST(what_cannot_be_shared_stays_what_it_is) {
  std::vector<int> pipe_ends(2);
  CHECK_EQUAL(pipe(pipe_ends.data()), 0);
  const File not_sealable(0);
  Weights weights(kBytes);
  const std::vector<std::byte> before = weights.values();
  for (const int file : {-1, pipe_ends[0], pipe_ends[1], not_sealable.descriptor()}) {
    CHECK_EQUAL(weights.region.share(file), Sharing::kImpossible);
  }
  CHECK(weights.values() == before);
  weights.buffers[0].data()[0] ^= std::byte{1};
  CHECK(weights.values() != before);
  CHECK_EQUAL(mappings(), 0);
  for (const int end : pipe_ends) close(end);

  const File file;
  MemoryRegion empty(0);
  CHECK_EQUAL(empty.share(file.descriptor()), Sharing::kImpossible);
  alignas(kAlignment) std::array<std::byte, 512> memory{};
  MemoryRegion of_caller(memory);
  CHECK(of_caller.take(100) != nullptr);
  CHECK_EQUAL(of_caller.share(file.descriptor()), Sharing::kImpossible);
}

TEST(what_somebody_left_unfinished_is_written_anew) {
  if (!kSharesMemory) return;
  const File file;
  const std::vector<char> junk(2 * kBytes, 'x');
  CHECK_EQUAL(write(file.descriptor(), junk.data(), junk.size()),
              static_cast<ssize_t>(junk.size()));
  Weights weights(kBytes);
  CHECK_EQUAL(weights.region.share(file.descriptor()), Sharing::kShared);
  CHECK(weights.values() == Weights(kBytes).values());
}

TEST(a_process_that_is_stopped_while_it_writes_is_not_waited_for) {
  if (!kSharesMemory) return;
  const File file;
  int ready[2];
  CHECK_EQUAL(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    struct flock lock{};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    const bool has = fcntl(file.descriptor(), F_SETLK, &lock) == 0;
    if (write(ready[1], has ? "y" : "n", 1) == 1) pause();
    _exit(1);
  }
  char has = 'n';
  CHECK_EQUAL(read(ready[0], &has, 1), 1);
  CHECK_EQUAL(has, 'y');
  Weights weights(kBytes);
  CHECK_EQUAL(weights.region.share(file.descriptor()), Sharing::kImpossible);
  CHECK_EQUAL(kill(child, SIGKILL), 0);
  CHECK_EQUAL(waitpid(child, nullptr, 0), child);
  CHECK_EQUAL(weights.region.share(file.descriptor()), Sharing::kShared);
  for (const int end : ready) close(end);
}

TEST(what_a_process_has_shared_outlives_it) {
  if (!kSharesMemory) return;
  const File file;
  const pid_t child = fork();
  if (child == 0)
    _exit(Weights(kBytes).region.share(file.descriptor()) == Sharing::kShared ? 0 : 1);
  Weights weights(kBytes);
  CHECK_EQUAL(weights.region.share(file.descriptor()), Sharing::kShared);  // before it, or after
  int status = -1;
  CHECK_EQUAL(waitpid(child, &status, 0), child);
  CHECK_EQUAL(status, 0);
  CHECK(weights.values() == Weights(kBytes).values());
}

#else

TEST(nothing_is_shared_elsewhere) {
  Weights weights(kBytes);
  CHECK_EQUAL(weights.region.share(0), Sharing::kImpossible);
}

#endif

}  // namespace
}  // namespace smidgen
