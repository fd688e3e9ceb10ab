#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "engine/tuning.h"
#include "ops/product_order.h"

namespace smidgen::engine {
namespace {

/// An operator with several ways to do nothing.
class Choosy final : public ops::Operator {
 public:
  explicit Choosy(int candidates, std::string signature = {})
      : candidates_(candidates), signature_(std::move(signature)) {}

  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape>) const override { return 1; }
  int candidate_count(std::span<const Shape>, int) const override { return candidates_; }
  std::string signature() const override { return signature_; }
  void run(const ops::Invocation&) const noexcept override {}

 private:
  int candidates_;
  std::string signature_;
};

Plan plan_of(const std::vector<const ops::Operator*>& operators) {
  Plan plan;
  for (const ops::Operator* op : operators) {
    PlannedStep step{.op = op,
                     .inputs = {0},
                     .output = 1,
                     .absorbed = {},
                     .views = {ops::dense_view({1, 4}, nullptr)},
                     .output_view = {},
                     .epilogue = {},
                     .bordered = {},
                     .parts = 1};
    plan.steps.push_back(std::move(step));
  }
  return plan;
}

/// Tunes with times by step and candidate; returns how many runs it took.
int tune_with(Plan& plan, TunedChoices& choices, const std::vector<std::vector<double>>& times) {
  int runs = 0;
  tune(plan, Isa::kPortable, choices, [&](std::span<double> seconds) {
    ++runs;
    for (std::size_t i = 0; i < seconds.size(); ++i) {
      seconds[i] = times[i][static_cast<std::size_t>(plan.steps[i].candidate)];
    }
  });
  return runs;
}

TEST(the_fastest_candidate_of_each_step_wins) {
  const Choosy three(3);
  const Choosy one(1);
  const Choosy two(2);
  Plan plan = plan_of({&three, &one, &two});
  TunedChoices choices;
  tune_with(plan, choices, {{3e-6, 2e-6, 1e-6}, {1e-6}, {1e-6, 2e-6}});
  CHECK_EQUAL(plan.steps[0].candidate, 2);
  CHECK_EQUAL(plan.steps[1].candidate, 0);
  CHECK_EQUAL(plan.steps[2].candidate, 0);
}

TEST(the_first_candidate_stays_unless_another_is_clearly_faster) {
  const Choosy two(2);
  Plan plan = plan_of({&two});
  TunedChoices choices;
  tune_with(plan, choices, {{1.00e-6, 0.99e-6}});
  CHECK_EQUAL(plan.steps[0].candidate, 0);
}

TEST(what_is_known_is_not_measured_again) {
  const Choosy first(2, "a");
  const Choosy same(2, "a");
  const Choosy other(2, "b");
  TunedChoices choices;
  Plan plan = plan_of({&first});
  CHECK(tune_with(plan, choices, {{2e-6, 1e-6}}) > 0);
  Plan again = plan_of({&same});
  CHECK_EQUAL(tune_with(again, choices, {{1e-6, 2e-6}}), 0);
  CHECK_EQUAL(again.steps[0].candidate, 1);
  Plan unknown = plan_of({&other});
  CHECK(tune_with(unknown, choices, {{1e-6, 2e-6}}) > 0);
  CHECK_EQUAL(unknown.steps[0].candidate, 0);
}

TEST(slow_plans_are_measured_less) {
  const Choosy four(4);
  Plan plan = plan_of({&four});
  TunedChoices choices;
  CHECK_EQUAL(tune_with(plan, choices, {{0.5, 0.4, 0.3, 0.2}}), 1);
  CHECK_EQUAL(plan.steps[0].candidate, 0);
  // What was not compared in full may be another time.
  CHECK(tune_with(plan, choices, {{2e-6, 2e-6, 1e-6, 2e-6}}) > 1);
  CHECK_EQUAL(plan.steps[0].candidate, 2);
}

TEST(choices_do_not_grow_without_end) {
  TunedChoices choices;
  for (int i = 0; i < 20'000; ++i) choices.keep(std::to_string(i), i);
  CHECK(!choices.find("1"));
  CHECK_EQUAL(choices.find("19999").value_or(-1), 19999);
}

// Steps are cut into more parts than there are threads: where panels are fewer than parts, rows
// were shared out even if they fill fewer tiles still, which left most parts without any.
TEST(parts_share_panels_out_unless_rows_give_more_of_them_something) {
  ops::ProductOrder few_rows{.splits_panels = true, .strip_bytes = 0};
  few_rows.limit_panels(16, 2, 32);
  CHECK(few_rows.splits_panels);
  ops::ProductOrder many_rows{.splits_panels = true, .strip_bytes = 0};
  many_rows.limit_panels(2, 16, 32);
  CHECK(!many_rows.splits_panels);
  ops::ProductOrder many_panels{.splits_panels = true, .strip_bytes = 0};
  many_panels.limit_panels(8, 100, 8);
  CHECK(many_panels.splits_panels);
}

}  // namespace
}  // namespace smidgen::engine
