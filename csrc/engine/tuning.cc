#include "engine/tuning.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <sstream>
#include <vector>

namespace smidgen::engine {
namespace {

constexpr std::size_t kMostChoices = 10'000;
constexpr int kMostCandidates = 5;
constexpr int kRounds = 4;
constexpr double kBudget = 0.4;      // seconds of runs
constexpr double kClearGain = 0.98;  // what a candidate must beat the first one's time by

/// One step whose candidates are compared.
struct Contest {
  PlannedStep* step;
  std::string key;
  std::vector<double> fastest;  // seconds, by candidate

  int candidates() const { return static_cast<int>(fastest.size()); }

  bool is_complete() const {
    return std::ranges::all_of(
        fastest, [](double seconds) { return seconds < std::numeric_limits<double>::max(); });
  }

  int winner() const {
    const auto best = std::ranges::min_element(fastest);
    const bool is_clear = *best < kClearGain * fastest.front();
    return is_clear ? static_cast<int>(best - fastest.begin()) : 0;
  }
};

std::string key_of(const PlannedStep& step, std::span<const Shape> shapes, Isa isa) {
  std::ostringstream key;
  const std::string signature = step.op->signature();
  if (signature.empty()) {
    key << step.op;  // valid while the operator lives; later it can only cost time
  } else {
    key << signature;
  }
  for (const Shape& shape : shapes) key << ' ' << shape.to_string();
  key << ' ' << step.parts << ' ' << name_of(isa) << ' ' << (step.epilogue.lookup != nullptr)
      << (step.epilogue.add != nullptr);
  return key.str();
}

std::vector<Contest> open_contests(Plan& plan, Isa isa, const TunedChoices& choices) {
  std::vector<Contest> contests;
  for (PlannedStep& step : plan.steps) {
    std::vector<Shape> shapes;
    for (const ops::TensorView& view : step.views) shapes.push_back(view.shape);
    const int count = std::min(step.op->candidate_count(shapes, step.parts), kMostCandidates);
    if (count < 2) continue;
    std::string key = key_of(step, shapes, isa);
    const std::optional<int> known = choices.find(key);
    if (known && *known < count) {
      step.candidate = *known;
    } else {
      contests.push_back({&step, std::move(key),
                          std::vector<double>(static_cast<std::size_t>(count),
                                              std::numeric_limits<double>::max())});
    }
  }
  return contests;
}

/// Runs with candidate `turn` of each step, or one that is measured again where it has fewer.
/// Returns the seconds of the run.
double compare(Plan& plan, std::span<Contest> contests, int turn, const TimedRun& run) {
  for (Contest& contest : contests) contest.step->candidate = turn % contest.candidates();
  std::vector<double> seconds(plan.steps.size(), 0.0);
  run(seconds);
  for (Contest& contest : contests) {
    double& fastest = contest.fastest[static_cast<std::size_t>(contest.step->candidate)];
    fastest =
        std::min(fastest, seconds[static_cast<std::size_t>(contest.step - plan.steps.data())]);
  }
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

}  // namespace

std::optional<int> TunedChoices::find(const std::string& key) const {
  const std::lock_guard lock(mutex_);
  const auto found = candidates_.find(key);
  return found == candidates_.end() ? std::nullopt : std::optional(found->second);
}

void TunedChoices::keep(const std::string& key, int candidate) {
  const std::lock_guard lock(mutex_);
  if (candidates_.size() >= kMostChoices) candidates_.clear();
  candidates_[key] = candidate;
}

TunedChoices& process_choices() {
  static TunedChoices choices;
  return choices;
}

void tune(Plan& plan, Isa isa, TunedChoices& choices, const TimedRun& run) {
  std::vector<Contest> contests = open_contests(plan, isa, choices);
  if (contests.empty()) return;
  const int turns = std::ranges::max(contests, {}, &Contest::candidates).candidates();
  std::vector<double> cold(plan.steps.size(), 0.0);
  run(cold);
  double spent = std::accumulate(cold.begin(), cold.end(), 0.0);
  for (int turn = 0; turn < kRounds * turns && spent < kBudget; ++turn) {
    spent += compare(plan, contests, turn % turns, run);
  }
  for (const Contest& contest : contests) {
    contest.step->candidate = contest.winner();
    if (contest.is_complete()) choices.keep(contest.key, contest.step->candidate);
  }
}

}  // namespace smidgen::engine
