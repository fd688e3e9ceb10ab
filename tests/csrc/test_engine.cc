#include <optional>
#include <thread>
#include <vector>

#include "base/error.h"
#include "check.h"
#include "engine/engine.h"
#include "sample_program.h"

namespace smidgen::engine {
namespace {

using Outputs = std::vector<std::vector<std::byte>>;

/// Nothing if the run may not wait and would have to.
std::optional<Outputs> run_or_not(Engine& engine, const Shape& shape,
                                  const std::vector<int>& outputs, bool may_wait) {
  test::Random random(12);
  std::vector<float> x;
  for (Index i = 0; i < shape.element_count(); ++i) {
    x.push_back(static_cast<float>(random.between(-250, 250)) * 0.01F);
  }
  auto plan = engine.borrow_plan(std::vector{shape}, outputs);
  Outputs values;
  std::vector<std::byte*> targets;
  for (const int output : outputs) {
    const ops::TensorView& view = plan->tensors[static_cast<std::size_t>(output)];
    const Index bytes = view.shape.element_count() * size_of(engine.dtype_of(output));
    values.emplace_back(static_cast<std::size_t>(bytes), std::byte{0xA5});
  }
  for (auto& value : values) targets.push_back(value.data());
  const std::vector<const std::byte*> sources = {reinterpret_cast<const std::byte*>(x.data())};
  const bool has_run = may_wait ? (engine.run(*plan, sources, targets), true)
                                : engine.run_unless_busy(*plan, sources, targets);
  engine.return_plan(std::move(plan));
  return has_run ? std::optional(values) : std::nullopt;
}

Outputs run(Engine& engine, const Shape& shape, const std::vector<int>& outputs) {
  return *run_or_not(engine, shape, outputs, true);
}

TEST(all_levels_and_thread_counts_give_the_same_bytes) {
  const Program program = sample_program();
  for (const Shape& shape : {Shape{1, 3, 11, 12}, Shape{3, 3, 24, 20}}) {
    Engine reference(program, 1, Isa::kPortable);
    const Outputs expected = run(reference, shape, program.outputs);
    for (const Isa isa : available_isas()) {
      for (const int threads : {1, 2, 3}) {
        test::set_context(name_of(isa), "threads", threads);
        Engine engine(program, threads, isa);
        CHECK_EQUAL(run(engine, shape, program.outputs), expected);
        CHECK_EQUAL(run(engine, shape, program.outputs), expected);
        CHECK_EQUAL(engine.cached_plan_count(), 1U);
      }
    }
  }
}

TEST(a_profiled_run_gives_the_same_bytes_and_a_time_for_each_step) {
  const Program program = sample_program();
  const Shape shape{1, 3, 12, 12};
  const std::vector<float> x(static_cast<std::size_t>(shape.element_count()), 0.7F);
  const std::vector<const std::byte*> sources = {reinterpret_cast<const std::byte*>(x.data())};
  for (const int threads : {1, 2}) {
    Engine engine(program, threads, available_isas().back());
    const auto plan = engine.borrow_plan(std::vector{shape}, program.outputs);
    Outputs plain;
    Outputs profiled;
    for (const int output : program.outputs) {
      const Index count = plan->tensors[static_cast<std::size_t>(output)].shape.element_count();
      plain.emplace_back(static_cast<std::size_t>(count * size_of(engine.dtype_of(output))));
    }
    profiled = plain;
    const auto targets_in = [](Outputs& values) {
      std::vector<std::byte*> targets;
      for (auto& value : values) targets.push_back(value.data());
      return targets;
    };
    engine.run(*plan, sources, targets_in(plain));
    std::vector<double> seconds(plan->steps.size(), 100.0);
    engine.profile(*plan, sources, targets_in(profiled), seconds);
    CHECK_EQUAL(profiled, plain);
    double sum = 0.0;
    for (const double step : seconds) {
      CHECK(step >= 100.0);
      sum += step;
    }
    CHECK(sum > 100.0 * static_cast<double>(seconds.size()));
  }
}

TEST(what_only_looped_steps_use_has_room_for_one_sample) {
  const Program program = sample_program();
  const auto arena_bytes = [&](Index samples, Index cache_bytes) {
    Engine engine(program, 1, Isa::kPortable, {}, false, cache_bytes);
    const auto plan = engine.borrow_plan(std::vector{Shape{samples, 3, 64, 64}}, program.outputs);
    CHECK_EQUAL(plan->looped_steps > 0, samples > 1 && cache_bytes == 0);
    CHECK_EQUAL(plan->lanes.size(), plan->looped_steps > 0 ? 1U : 0U);
    return plan->arena.size();
  };
  // The sum and the floats made of it are used after the loop, for all samples.
  const Index whole = arena_bytes(8, Index{1} << 30);
  CHECK(whole > 7 * arena_bytes(1, 0));
  CHECK(10 * arena_bytes(8, 0) < 9 * whole);
}

TEST(threads_take_samples_of_their_own_where_all_get_about_as_many) {
  const Program program = sample_program();
  const auto lanes = [&](Index samples, int threads) {
    Engine engine(program, threads, Isa::kPortable, {}, false, 0);
    const auto plan = engine.borrow_plan(std::vector{Shape{samples, 3, 12, 12}}, program.outputs);
    for (const Lane& lane : plan->lanes) CHECK_EQUAL(lane.steps.size(), plan->looped_steps);
    CHECK_EQUAL(plan->samples, samples);
    return plan->lanes.size();
  };
  CHECK_EQUAL(lanes(8, 1), 1U);
  CHECK_EQUAL(lanes(8, 2), 2U);
  CHECK_EQUAL(lanes(3, 2), 1U);  // one would wait for the other
  CHECK_EQUAL(lanes(8, 3), 3U);
  CHECK_EQUAL(lanes(2, 4), 1U);
}

TEST(concurrent_runs_give_the_same_bytes) {
  const Program program = sample_program();
  const Shape shape{1, 3, 12, 12};
  for (const int threads : {1, 2}) {
    Engine engine(program, threads, available_isas().back());
    const Outputs expected = run(engine, shape, program.outputs);
    std::vector<int> mismatches(4, 0);
    std::vector<std::thread> callers;
    for (int& mismatch : mismatches) {
      callers.emplace_back([&] {
        for (int turn = 0; turn < 5; ++turn)
          mismatch += run(engine, shape, program.outputs) != expected;
      });
    }
    for (std::thread& caller : callers) caller.join();
    for (const int mismatch : mismatches) CHECK_EQUAL(mismatch, 0);
  }
}

TEST(a_run_that_may_not_wait_gives_the_same_bytes_or_none) {
  const Program program = sample_program();
  const Shape shape{1, 3, 12, 12};
  for (const int threads : {1, 2}) {
    Engine engine(program, threads, available_isas().back());
    const Outputs expected = run(engine, shape, program.outputs);
    CHECK(run_or_not(engine, shape, program.outputs, false) == expected);
    std::thread other([&] {
      for (int turn = 0; turn < 20; ++turn) run(engine, shape, program.outputs);
    });
    for (int turn = 0; turn < 20; ++turn) {
      const auto found = run_or_not(engine, shape, program.outputs, false);
      CHECK(found.has_value() ? *found == expected : threads == 2);
    }
    other.join();
  }
}

TEST(only_plans_of_the_cache_are_borrowed_from_it) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable);
  const std::vector shapes{Shape{1, 3, 12, 12}};
  CHECK(engine.borrow_cached_plan(shapes, program.outputs) == nullptr);
  run(engine, shapes[0], program.outputs);
  auto plan = engine.borrow_cached_plan(shapes, program.outputs);
  CHECK(plan != nullptr);
  CHECK(engine.borrow_cached_plan(shapes, program.outputs) == nullptr);
  engine.return_plan(std::move(plan));
  CHECK_EQUAL(engine.cached_plan_count(), 1U);
}

TEST(a_run_leaves_the_callers_subnormals_as_they_were) {
  Engine engine(sample_program(), 2, available_isas().back());
  volatile float tiny = 1e-42F;
  run(engine, {1, 3, 12, 12}, sample_program().outputs);
  CHECK(tiny * 1.0F != 0.0F);
}

TEST(the_oldest_plans_give_way) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable);
  for (Index size = 6; size < 26; size += 2) run(engine, {1, 3, size, size}, program.outputs);
  CHECK_EQUAL(engine.cached_plan_count(), 8U);
}

TEST(weights_are_packed_up_to_a_limit) {
  const Program program = sample_program();
  const auto make = [&](Index most_bytes) {
    return Engine(program, 1, Isa::kPortable, {}, false, kCacheBytes, most_bytes).memory_bytes();
  };
  const Index bytes = make(1 << 30);
  CHECK_EQUAL(make(bytes), bytes);
  CHECK(test::throws<EngineError>([&] { make(bytes - 1); }));
}

TEST(shapes_that_do_not_fit_are_refused) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable);
  for (const Shape& shape : {Shape{1, 4, 8, 8}, Shape{1, 3, 8}, Shape{0, 3, 8, 8}}) {
    CHECK(test::throws<TensorError>(
        [&] { static_cast<void>(engine.borrow_plan(std::vector{shape}, program.outputs)); }));
  }
}

TEST(broken_programs_are_refused) {
  const auto is_refused = [](const auto& change) {
    Program program = sample_program();
    change(program);
    return test::throws<ProgramError>([&] { Engine engine(program, 1, Isa::kPortable); });
  };
  CHECK(is_refused([](Program& p) { p.steps.erase(p.steps.begin()); }));
  CHECK(is_refused([](Program& p) { p.outputs.push_back(1000); }));
  CHECK(is_refused([](Program& p) { p.steps.emplace_back(Quantize{0, 1}); }));
  CHECK(is_refused([](Program& p) { p.tensors[1].dtype = DType::kFloat32; }));
  CHECK(is_refused([](Program& p) { p.constants[0].bytes = p.constants[0].bytes.first(1); }));
  CHECK(is_refused([](Program& p) { std::get<Conv2d>(p.steps[1]).bias = 10000; }));
  CHECK(is_refused([](Program& p) { std::get<Conv2d>(p.steps[1]).window.stride = {0, 1}; }));
  CHECK(is_refused([](Program& p) { std::get<Conv2d>(p.steps[2]).groups = 3; }));
}

TEST(thread_counts_out_of_range_are_refused) {
  for (const int threads : {0, -1, 100000}) {
    CHECK(test::throws<EngineError>(
        [&] { Engine engine(sample_program(), threads, Isa::kPortable); }));
  }
}

}  // namespace
}  // namespace smidgen::engine
