#pragma once

namespace smidgen {

/// Wakes whoever waits for a file to become readable, such as an event loop.
class Bell {
 public:
  /// Throws EngineError if the system has no more files.
  Bell();
  ~Bell();
  Bell(const Bell&) = delete;
  Bell& operator=(const Bell&) = delete;

  /// What becomes readable by `ring` and stops being so by `silence`.
  int file() const { return read_end_; }

  /// May be called by any thread.
  void ring() noexcept;
  void silence() noexcept;

 private:
  int read_end_;
  int write_end_;
};

}  // namespace smidgen
