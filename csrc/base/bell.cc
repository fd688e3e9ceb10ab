#include "base/bell.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <iterator>
#include <string>
#include <system_error>

#include "base/error.h"

namespace smidgen {
namespace {

void set_up(int file) noexcept {
  fcntl(file, F_SETFL, O_NONBLOCK);
  fcntl(file, F_SETFD, FD_CLOEXEC);
}

}  // namespace

Bell::Bell() {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) {
    throw EngineError("the system refused a pipe (" + std::generic_category().message(errno) +
                          "), close files or raise their limit",
                      "FILES_UNAVAILABLE");
  }
  read_end_ = ends[0];
  write_end_ = ends[1];
  set_up(read_end_);
  set_up(write_end_);
}

Bell::~Bell() {
  close(read_end_);
  close(write_end_);
}

void Bell::ring() noexcept {
  const char sound = 0;
  // A full pipe is readable already.
  [[maybe_unused]] const auto written = write(write_end_, &sound, 1);
}

void Bell::silence() noexcept {
  std::array<char, 64> sounds{};
  while (read(read_end_, sounds.data(), sounds.size()) == std::ssize(sounds)) {
  }
}

}  // namespace smidgen
