#pragma once

#include <cstdint>
#include <functional>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

// A checker of the size that these tests need: TEST(name) { CHECK(...); CHECK_EQUAL(a, b); }

namespace smidgen::test {

struct Case {
  const char* name;
  std::function<void()> body;
};

inline std::vector<Case>& cases() {
  static std::vector<Case> registered;
  return registered;
}

inline int& failure_count() {
  static int count = 0;
  return count;
}

/// What is being checked, printed with a failure; set by loops over parameters.
inline std::string& context() {
  static std::string text;
  return text;
}

template <typename... Parts>
void set_context(const Parts&... parts) {
  std::ostringstream stream;
  ((stream << parts << ' '), ...);
  context() = stream.str();
}

inline void fail(const char* file, int line, const std::string& what) {
  if (++failure_count() <= 20) {
    std::cerr << file << ':' << line << ": " << what << " [" << context() << "]\n";
  }
}

template <typename Thrown>
bool throws(const std::function<void()>& body) {
  try {
    body();
  } catch (const Thrown&) {
    return true;
  }
  return false;
}

inline int run_all() {
  for (const Case& test : cases()) {
    context() = test.name;
    const int before = failure_count();
    test.body();
    std::cout << (failure_count() == before ? "ok   " : "FAIL ") << test.name << '\n';
  }
  return failure_count() == 0 ? 0 : 1;
}

/// A small generator with a fixed sequence (xorshift), so that failures can be repeated.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed * 0x9E3779B97F4A7C15ULL + 1) {}

  /// Returns a value in [low, high].
  std::int64_t between(std::int64_t low, std::int64_t high) {
    state_ ^= state_ << 13U;
    state_ ^= state_ >> 7U;
    state_ ^= state_ << 17U;
    return low +
           static_cast<std::int64_t>((state_ >> 11U) % static_cast<std::uint64_t>(high - low + 1));
  }

  template <typename T>
  std::vector<T> values(std::ptrdiff_t count, std::int64_t low, std::int64_t high) {
    std::vector<T> result(static_cast<std::size_t>(count));
    for (T& value : result) value = static_cast<T>(between(low, high));
    return result;
  }

 private:
  std::uint64_t state_;
};

}  // namespace smidgen::test

#define TEST(name)                                   \
  static void name();                                \
  static const bool name##_is_registered = [] {      \
    smidgen::test::cases().push_back({#name, name}); \
    return true;                                     \
  }();                                               \
  static void name()

#define CHECK(condition) \
  ((condition) ? void() : smidgen::test::fail(__FILE__, __LINE__, "expected " #condition))

#define CHECK_EQUAL(found, expected) \
  ((found) == (expected)             \
       ? void()                      \
       : smidgen::test::fail(__FILE__, __LINE__, "expected " #found " == " #expected))
