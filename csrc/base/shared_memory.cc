#include "base/shared_memory.h"

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/mapped_memory.h"
#endif

namespace smidgen {

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
constexpr auto kPause = std::chrono::milliseconds(2);
constexpr int kMostPauses = 500;
constexpr int kCollapse = 25;  // MADV_COLLAPSE, which the headers of older systems lack

/// Keeps other processes from writing a file, while it lives.
class Turn {
 public:
  explicit Turn(int file) noexcept : file_(file), is_mine_(wait()) {}
  ~Turn() {
    if (is_mine_) set(F_UNLCK);
  }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  bool is_mine() const { return is_mine_; }

 private:
  /// Waits for a second: a process that is stopped while it writes must not stop the others.
  bool wait() const noexcept {
    for (int pause = 0; pause < kMostPauses; ++pause) {
      if (set(F_WRLCK)) return true;
      if (errno != EACCES && errno != EAGAIN && errno != EINTR) return false;
      std::this_thread::sleep_for(kPause);
    }
    return false;
  }

  // Of the process, and gone with it. Those that flock() takes are of the open file, which
  // processes have in common if one was sent a descriptor by the other.
  bool set(short type) const noexcept {
    struct flock lock{};
    lock.l_type = type;
    lock.l_whence = SEEK_SET;
    return fcntl(file_, F_SETLK, &lock) == 0;
  }

  int file_;
  bool is_mine_;
};

/// The bytes of a sealed file, to be read; none if that cannot be.
class View {
 public:
  View(int file, std::size_t bytes) noexcept : file_(reopen(file)), bytes_(bytes) {
    if (file_ >= 0) begin_ = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file_, 0);
  }
  ~View() {
    if (begin_ != MAP_FAILED) munmap(begin_, bytes_);
    if (file_ >= 0) close(file_);
  }
  View(const View&) = delete;
  View& operator=(const View&) = delete;

  bool is_there() const { return begin_ != MAP_FAILED; }

  bool equals(std::span<const std::byte> memory) const noexcept {
    return std::memcmp(begin_, memory.data(), bytes_) == 0;
  }

  /// Maps the file once more, in the place of what is there. That this view is there says that
  /// the kernel allows it, which matters: a failure half way could leave nothing.
  bool map_over(std::span<const std::byte> memory) const noexcept {
    void* const begin = const_cast<std::byte*>(memory.data());
    return mmap(begin, bytes_, PROT_READ, MAP_SHARED | MAP_FIXED, file_, 0) == begin;
  }

 private:
  /// Opens the file for reading alone. What is mapped through a descriptor that may write can be
  /// made writable, which kernels before 6.7 refuse of a sealed file from the start.
  static int reopen(int file) noexcept {
    std::array<char, 32> path{};
    std::snprintf(path.data(), path.size(), "/proc/self/fd/%d", file);
    return open(path.data(), O_RDONLY | O_CLOEXEC);
  }

  int file_;
  std::size_t bytes_;
  void* begin_ = MAP_FAILED;
};

/// Whether these seals, -1 of a file that has none, are all that are asked for.
bool is_sealed(int seals) noexcept { return seals >= 0 && (seals & kSeals) == kSeals; }

/// Whether a file with these seals can get others, as a file in memory can that was made so.
bool may_be_sealed(int seals) noexcept { return seals >= 0 && (seals & F_SEAL_SEAL) == 0; }

bool write_all(std::span<const std::byte> bytes, int file) noexcept {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t written =
        pwrite(file, bytes.data() + done, bytes.size() - done, static_cast<off_t>(done));
    if (written <= 0) return false;
    done += static_cast<std::size_t>(written);
  }
  return true;
}

/// Gives the file these bytes for good, unless it has some. Other files than such in memory stay as
/// they are.
bool fill(int file, std::span<const std::byte> bytes) noexcept {
  static std::timed_mutex of_this_process;  // whose threads have a Turn in common
  const std::unique_lock lock(of_this_process, kMostPauses * kPause);
  if (!lock.owns_lock()) return false;
  const Turn turn(file);
  if (!turn.is_mine()) return false;
  const int seals = fcntl(file, F_GET_SEALS);
  if (is_sealed(seals)) return true;
  if (!may_be_sealed(seals)) return false;
  // Whoever ended while it wrote has left something.
  if (ftruncate(file, 0) != 0) return false;
  if (write_all(bytes, file) && fcntl(file, F_ADD_SEALS, kSeals) == 0) return true;
  [[maybe_unused]] const int unchanged = ftruncate(file, 0);  // gives the memory back
  return false;
}

/// Puts the whole huge pages of a mapped file in such, which files in memory have by themselves
/// only where the system is set so. Kernels before 6.1 refuse, which does no harm.
void gather_huge_pages(std::span<const std::byte> memory) noexcept {
  const std::size_t bytes = memory.size() - memory.size() % static_cast<std::size_t>(kHugePage);
  if (bytes == 0) return;
  static_cast<void>(madvise(const_cast<std::byte*>(memory.data()), bytes, kCollapse));
}

}  // namespace

Sharing share_memory(std::span<const std::byte> memory, int file) noexcept {
  if (memory.empty()) return Sharing::kImpossible;
  if (!is_sealed(fcntl(file, F_GET_SEALS)) && !fill(file, memory)) return Sharing::kImpossible;
  struct stat status{};
  if (fstat(file, &status) != 0) return Sharing::kImpossible;
  if (static_cast<std::size_t>(status.st_size) != memory.size()) return Sharing::kUnequal;
  const View view(file, memory.size());
  if (!view.is_there()) return Sharing::kImpossible;
  if (!view.equals(memory)) return Sharing::kUnequal;
  if (!view.map_over(memory)) return Sharing::kImpossible;
  gather_huge_pages(memory);
  return Sharing::kShared;
}
#else
Sharing share_memory(std::span<const std::byte> /*memory*/, int /*file*/) noexcept {
  return Sharing::kImpossible;
}
#endif

}  // namespace smidgen
