#include <signal.h>
#include <unistd.h>

#include "check.h"

namespace {

struct sigaction original;

/// Says what was being checked when memory was touched that may not be. What handled the signal
/// before, such as a sanitizer's report, gets it next, as the access is tried again.
void name_context(int /*signal*/) {
  for (const std::string_view text :
       {std::string_view("memory was touched beyond a fence ["),
        std::string_view(smidgen::test::context()), std::string_view("]\n")}) {
    static_cast<void>(!write(STDERR_FILENO, text.data(), text.size()));
  }
  sigaction(SIGSEGV, &original, nullptr);
}

}  // namespace

int main() {
  struct sigaction action{};
  action.sa_handler = name_context;
  sigaction(SIGSEGV, &action, &original);
  return smidgen::test::run_all();
}
