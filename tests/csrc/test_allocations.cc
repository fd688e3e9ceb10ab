#include <vector>

#include "allocation_count.h"
#include "check.h"
#include "engine/engine.h"
#include "sample_program.h"

namespace smidgen::engine {
namespace {

TEST(a_run_allocates_nothing_once_its_plan_exists) {
  const Program program = sample_program();
  const Shape shape{2, 3, 16, 16};
  const std::vector<float> x(static_cast<std::size_t>(shape.element_count()), 0.3F);
  const std::vector<const std::byte*> sources = {reinterpret_cast<const std::byte*>(x.data())};
  for (const Isa isa : available_isas()) {
    for (const int threads : {1, 2}) {
      test::set_context(name_of(isa), "threads", threads);
      Engine engine(program, threads, isa);
      auto plan = engine.borrow_plan(std::vector{shape}, program.outputs);
      std::vector<std::vector<std::byte>> values;
      std::vector<std::byte*> targets;
      for (const int output : program.outputs) {
        const Shape& found = plan->tensors[static_cast<std::size_t>(output)].shape;
        values.emplace_back(static_cast<std::size_t>(4 * found.element_count()));
        targets.push_back(values.back().data());
      }
      std::vector<double> seconds(plan->steps.size());
      const long before = test::allocation_count();
      for (int turn = 0; turn < 3; ++turn) engine.run(*plan, sources, targets);
      engine.profile(*plan, sources, targets, seconds);
      CHECK_EQUAL(test::allocation_count(), before);
      engine.return_plan(std::move(plan));
    }
  }
}

}  // namespace
}  // namespace smidgen::engine
