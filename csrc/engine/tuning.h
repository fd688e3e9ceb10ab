#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "base/isa.h"
#include "engine/plan.h"

namespace smidgen::engine {

/// What earlier plans of this process have found to be fastest. Any thread may use it.
class TunedChoices {
 public:
  std::optional<int> find(const std::string& key) const;

  /// Starts afresh when there are very many.
  void keep(const std::string& key, int candidate);

 private:
  mutable std::mutex mutex_;
  std::map<std::string, int> candidates_;
};

TunedChoices& process_choices();

/// Runs all steps of a plan and writes the seconds that each took.
using TimedRun = std::function<void(std::span<double> seconds)>;

/// Lets each step of the plan that has several candidates use the fastest. Those that `choices`
/// does not know are measured in whole runs, a different candidate in each, so that caches are in
/// the state that they will be in; within a budget of time.
void tune(Plan& plan, Isa isa, TunedChoices& choices, const TimedRun& run);

}  // namespace smidgen::engine
