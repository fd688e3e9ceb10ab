#include <array>
#include <set>
#include <variant>
#include <vector>

#include "caller_arrays.h"
#include "check.h"
#include "engine/engine.h"
#include "sample_nets.h"

namespace smidgen::engine {
namespace {

// ThreadSanitizer looks for accesses of several threads that nothing orders, many times as slowly.
// Runs of one thread have none, and where arrays lie changes none: the other builds check both.
#if defined(SMIDGEN_TEST_RACES_ALONE)
constexpr std::array kThreadCounts = {2, 3};
constexpr std::array kSides = {test::Fence::kBehind};
#else
constexpr std::array kThreadCounts = {1, 2, 3};
constexpr std::array kSides = test::kFences;
#endif

TEST(the_sample_nets_have_every_kind_of_step) {
  std::set<std::size_t> kinds;
  for (const SampleNet& net : sample_nets()) {
    for (const Step& step : net.program.steps) kinds.insert(step.index());
  }
  for (std::size_t kind = 0; kind < std::variant_size_v<Step>; ++kind) {
    test::set_context("kind", kind);
    CHECK(kinds.contains(kind));
  }
}

std::vector<std::vector<std::byte>> run(const SampleNet& net, Engine& engine, test::Fence fence) {
  auto plan = engine.borrow_plan(net.inputs, net.program.outputs);
  CallerArrays arrays(net, *plan, fence);
  engine.run(*plan, arrays.sources(), arrays.targets());
  engine.return_plan(std::move(plan));
  return arrays.values();
}

TEST(sample_nets_give_the_same_bytes_at_all_levels_and_stay_within_their_callers_arrays) {
  for (const SampleNet& net : sample_nets()) {
    Engine reference(net.program, 1, Isa::kPortable, {}, false);
    const auto expected = run(net, reference, test::Fence::kBehind);
    for (const Isa isa : available_isas()) {
      for (const int threads : kThreadCounts) {
        test::set_context(net.name, name_of(isa), "threads", threads);
        Engine engine(net.program, threads, isa);
        for (const test::Fence fence : kSides) {
          CHECK_EQUAL(run(net, engine, fence), expected);
        }
      }
    }
  }
}

TEST(sample_nets_give_the_same_bytes_sample_by_sample) {
  constexpr Index kNoCache = 0;  // so that every step that can do so runs sample by sample
  std::size_t looped = 0;
  std::size_t with_lanes = 0;
  for (const SampleNet& net : sample_nets()) {
    Engine reference(net.program, 1, Isa::kPortable, {}, false);
    const auto expected = run(net, reference, test::Fence::kBehind);
    for (const Isa isa : available_isas()) {
      for (const int threads : kThreadCounts) {
        test::set_context(net.name, name_of(isa), "threads", threads);
        Engine engine(net.program, threads, isa, {}, true, kNoCache);
        auto plan = engine.borrow_plan(net.inputs, net.program.outputs);
        looped += plan->looped_steps;
        with_lanes += plan->lanes.size() > 1 ? 1 : 0;
        engine.return_plan(std::move(plan));
        for (const test::Fence fence : kSides) {
          CHECK_EQUAL(run(net, engine, fence), expected);
          CHECK_EQUAL(run(net, engine, fence), expected);  // the views are where they were
        }
      }
    }
  }
  CHECK(looped > 50);
  CHECK(with_lanes > 10);
}

}  // namespace
}  // namespace smidgen::engine
