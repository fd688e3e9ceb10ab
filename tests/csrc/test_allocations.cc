#include <memory>
#include <vector>

#include "allocation_count.h"
#include "caller_arrays.h"
#include "check.h"
#include "engine/engine.h"
#include "sample_nets.h"

namespace smidgen::engine {
namespace {

TEST(allocations_of_all_kinds_are_counted) {
  const long before = test::allocation_count();
  const auto value = std::make_unique<int>(1);
  CHECK_EQUAL(test::allocation_count(), before + 1);
  const AlignedBuffer small(10);
  CHECK_EQUAL(test::allocation_count(), before + 2);
  const AlignedBuffer mapped(1 << 20);
  CHECK_EQUAL(test::allocation_count(), before + 3);
}

TEST(a_run_allocates_nothing_once_its_plan_exists) {
  for (const SampleNet& net : sample_nets()) {
    for (const Isa isa : available_isas()) {
      for (const int threads : {1, 2}) {
        test::set_context(net.name, name_of(isa), "threads", threads);
        Engine engine(net.program, threads, isa);
        auto plan = engine.borrow_plan(net.inputs, net.program.outputs);
        const CallerArrays arrays(net, *plan, test::Fence::kBehind);
        std::vector<double> seconds(plan->steps.size());
        const long before = test::allocation_count();
        for (int turn = 0; turn < 3; ++turn) engine.run(*plan, arrays.sources(), arrays.targets());
        engine.profile(*plan, arrays.sources(), arrays.targets(), seconds);
        CHECK_EQUAL(test::allocation_count(), before);
        engine.return_plan(std::move(plan));
      }
    }
  }
}

}  // namespace
}  // namespace smidgen::engine
