#include <poll.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/error.h"
#include "check.h"
#include "engine/engine.h"
#include "engine/run_queue.h"
#include "sample_program.h"

namespace smidgen::engine {
namespace {

using Floats = std::vector<float>;
using Bytes = std::vector<std::byte>;

Shape shape_of(Index samples) { return {samples, 3, 11, 12}; }

Floats image(Index samples, int seed) {
  test::Random random(seed);
  Floats values;
  for (Index i = 0; i < shape_of(samples).element_count(); ++i) {
    values.push_back(static_cast<float>(random.between(-250, 250)) * 0.01F);
  }
  return values;
}

/// A run that keeps its inputs.
class TestRun : public QueuedRun {
 public:
  TestRun(Engine& engine, Index samples, std::vector<Floats> images, std::vector<int> outputs)
      : QueuedRun(engine, {shape_of(samples)}, inputs_of(images), std::move(outputs)),
        images_(std::move(images)) {}

 private:
  // Moving a vector leaves its values where they are.
  static std::vector<Inputs> inputs_of(const std::vector<Floats>& images) {
    std::vector<Inputs> requests;
    for (const Floats& image : images) requests.push_back({std::as_bytes(std::span(image))});
    return requests;
  }

  std::vector<Floats> images_;
};

bool is_readable(int file, int timeout_ms) {
  pollfd waited{.fd = file, .events = POLLIN, .revents = 0};
  return poll(&waited, 1, timeout_ms) == 1;
}

/// Waits for as many runs to end.
std::vector<std::shared_ptr<QueuedRun>> take(RunQueue& queue, std::size_t count) {
  std::vector<std::shared_ptr<QueuedRun>> taken;
  while (taken.size() < count && is_readable(queue.ended_file(), 60'000)) {
    for (auto& run : queue.take_ended()) taken.push_back(std::move(run));
  }
  return taken;
}

std::vector<Bytes> bytes_of(std::vector<QueuedRun::Output> outputs) {
  std::vector<Bytes> found;
  for (const QueuedRun::Output& output : outputs) {
    found.emplace_back(output.values.data(), output.values.data() + output.values.size());
  }
  return found;
}

std::vector<Bytes> computed(Engine& engine, const std::vector<int>& outputs, const Floats& image,
                            Index samples) {
  TestRun run(engine, samples, {image}, outputs);
  run.compute();
  return bytes_of(run.take_outputs());
}

TEST(runs_on_several_threads_give_the_bytes_of_runs_in_turn) {
  const Program program = sample_program();
  for (const int threads : {1, 3}) {
    test::set_context("threads", threads);
    Engine engine(program, 1, available_isas().back());
    RunQueue queue(threads);
    std::vector<std::shared_ptr<QueuedRun>> submitted;
    for (int seed = 0; seed < 12; ++seed) {
      submitted.push_back(std::make_shared<TestRun>(engine, 1, std::vector<Floats>{image(1, seed)},
                                                    program.outputs));
      queue.submit(submitted.back());
    }
    std::vector<std::shared_ptr<QueuedRun>> ended = take(queue, 12);
    CHECK(std::ranges::is_permutation(ended, submitted));
    if (threads == 1) CHECK(ended == submitted);
    CHECK(!is_readable(queue.ended_file(), 0));
    for (int seed = 0; seed < 12; ++seed) {
      QueuedRun& run = *submitted[static_cast<std::size_t>(seed)];
      CHECK(bytes_of(run.take_outputs()) == computed(engine, program.outputs, image(1, seed), 1));
      CHECK(run.times().compute > 0 && run.times().input >= 0 && run.times().started > 0);
      CHECK(run.times().cpu > 0);
    }
  }
}

TEST(requests_that_are_joined_give_the_bytes_of_one_array) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable);
  const std::vector<Floats> parts = {image(1, 1), image(3, 2), image(2, 3)};
  Floats whole;
  for (const Floats& part : parts) whole.insert(whole.end(), part.begin(), part.end());
  TestRun joined(engine, 6, parts, program.outputs);
  joined.compute();
  const std::vector<QueuedRun::Output> outputs = joined.take_outputs();
  CHECK_EQUAL(outputs[0].shape.to_string(), Shape({6, 10}).to_string());
  TestRun again(engine, 6, parts, program.outputs);
  again.compute();
  CHECK(bytes_of(again.take_outputs()) == computed(engine, program.outputs, whole, 6));
}

TEST(a_value_that_is_not_finite_is_told_of_each_request_and_nothing_is_computed) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable);
  std::vector<Floats> images = {image(1, 1), image(1, 2), image(2, 3)};
  images[1][7] = std::numeric_limits<float>::infinity();
  images[2][300] = std::nanf("");
  images[2][301] = std::nanf("");
  TestRun run(engine, 4, images, program.outputs);
  run.compute();
  CHECK(run.take_outputs().empty());
  CHECK_EQUAL(run.not_finite().size(), 2U);
  CHECK_EQUAL(run.not_finite()[0].request, 1U);
  CHECK_EQUAL(run.not_finite()[0].index, 7U);
  CHECK_EQUAL(run.not_finite()[1].request, 2U);
  CHECK_EQUAL(run.not_finite()[1].index, 300U);
  CHECK_EQUAL(engine.cached_plan_count(), 0U);
}

TEST(what_the_engine_refuses_is_thrown_where_the_outputs_are_taken) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable, RunLimits{.bytes = 1});
  RunQueue queue(1);
  queue.submit(
      std::make_shared<TestRun>(engine, 1, std::vector<Floats>{image(1, 1)}, program.outputs));
  const auto ended = take(queue, 1);
  CHECK(test::throws<TensorError>([&] { ended[0]->take_outputs(); }));
}

TEST(a_withdrawn_run_never_ends_and_one_that_has_begun_cannot_be_withdrawn) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable);
  RunQueue queue(1);
  std::vector<std::shared_ptr<QueuedRun>> submitted;
  for (int i = 0; i < 40; ++i) {
    submitted.push_back(
        std::make_shared<TestRun>(engine, 8, std::vector<Floats>{image(8, i)}, program.outputs));
    queue.submit(submitted.back());
  }
  CHECK(queue.withdraw(*submitted[39]));
  CHECK(!queue.withdraw(*submitted[39]));
  CHECK_EQUAL(submitted[39].use_count(), 1);
  submitted.pop_back();
  CHECK(take(queue, 39) == submitted);
  CHECK(!queue.withdraw(*submitted[0]));
}

TEST(a_run_has_results_when_it_has_ended_and_outputs_once) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable);
  TestRun run(engine, 1, {image(1, 1)}, program.outputs);
  CHECK(test::throws<EngineError>([&] { run.take_outputs(); }));
  CHECK(test::throws<EngineError>([&] { run.not_finite(); }));
  CHECK(test::throws<EngineError>([&] { run.times(); }));
  run.compute();
  CHECK_EQUAL(run.take_outputs().size(), program.outputs.size());
  CHECK(test::throws<EngineError>([&] { run.take_outputs(); }));
  CHECK(run.not_finite().empty());
}

TEST(a_closed_queue_has_computed_all_and_takes_no_more) {
  const Program program = sample_program();
  Engine engine(program, 1, available_isas().back());
  RunQueue queue(2);
  const auto run = [&] {
    return std::make_shared<TestRun>(engine, 1, std::vector<Floats>{image(1, 1)}, program.outputs);
  };
  for (int i = 0; i < 5; ++i) queue.submit(run());
  queue.close();
  CHECK_EQUAL(queue.take_ended().size(), 5U);
  CHECK(test::throws<EngineError>([&] { queue.submit(run()); }));
  queue.close();
}

TEST(a_queue_that_goes_away_leaves_what_has_not_begun) {
  const Program program = sample_program();
  Engine engine(program, 1, Isa::kPortable);
  std::vector<std::shared_ptr<QueuedRun>> submitted;
  {
    RunQueue queue(1);
    for (int i = 0; i < 40; ++i) {
      submitted.push_back(
          std::make_shared<TestRun>(engine, 8, std::vector<Floats>{image(8, i)}, program.outputs));
      queue.submit(submitted.back());
    }
  }
  CHECK(test::throws<EngineError>([&] { submitted[39]->times(); }));
  for (const auto& run : submitted) CHECK_EQUAL(run.use_count(), 1);
}

TEST(runs_may_be_submitted_from_several_threads) {
  const Program program = sample_program();
  Engine engine(program, 2, available_isas().back());
  RunQueue queue(2);
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&, caller] {
      for (int i = 0; i < 8; ++i) {
        queue.submit(std::make_shared<TestRun>(engine, 1, std::vector<Floats>{image(1, caller)},
                                               program.outputs));
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK_EQUAL(take(queue, 24).size(), 24U);
}

TEST(threads_that_cannot_be_are_refused) {
  for (const int threads : {0, -1, 4097}) {
    CHECK(test::throws<EngineError>([&] { RunQueue queue(threads); }));
  }
}

}  // namespace
}  // namespace smidgen::engine
