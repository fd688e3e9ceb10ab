#include <memory>
#include <string>
#include <vector>

#include "check.h"
#include "engine/fusion.h"
#include "engine/placement.h"
#include "ops/binary.h"
#include "ops/concat.h"
#include "ops/constant_tensor.h"
#include "ops/layer_norm.h"
#include "ops/quantize.h"
#include "ops/reshape.h"

namespace smidgen::engine {
namespace {

/// An operator that gives its input's shape and has the traits that the planner asks for.
class Stub final : public ops::Operator {
 public:
  struct Traits {
    bool takes_pitches = true;
    ops::Border border{};
    bool can_fuse = true;
  };

  explicit Stub(const Traits& traits) : traits_(traits) {}

  Shape output_shape(std::span<const Shape> inputs) const override { return inputs[0]; }
  Index work(std::span<const Shape> inputs) const override { return inputs[0].element_count(); }
  bool takes_pitches() const override { return traits_.takes_pitches; }
  ops::Border wanted_border(int) const override { return traits_.border; }
  bool can_fuse(const ops::Epilogue& epilogue) const override {
    return traits_.can_fuse || epilogue.is_empty();
  }
  void run(const ops::Invocation&) const noexcept override {}

 private:
  Traits traits_;
};

/// A prepared program under construction.
class Net {
 public:
  PreparedProgram program;
  std::vector<Shape> shapes;

  int tensor(const Shape& shape, int zero_point = 3) {
    const auto index = static_cast<int>(shapes.size());
    program.tensors.push_back(
        {std::to_string(index), DType::kUInt8, shape.rank(), {0.5F, zero_point}});
    shapes.push_back(shape);
    return index;
  }

  int input(const Shape& shape) {
    program.inputs.push_back(tensor(shape));
    return program.inputs.back();
  }

  int add(std::unique_ptr<ops::Operator> op, std::vector<int> inputs, const Shape& shape) {
    const int output = tensor(shape);
    program.steps.push_back({std::move(op), std::move(inputs), output});
    return output;
  }

  int stub(int input, const Shape& shape, const Stub::Traits& traits = {}) {
    return add(std::make_unique<Stub>(traits), {input}, shape);
  }

  int concat(std::vector<int> inputs) {
    std::vector<Shape> of_inputs;
    for (const int input : inputs) of_inputs.push_back(shapes[static_cast<std::size_t>(input)]);
    auto op = std::make_unique<ops::Concat>();
    const Shape shape = op->output_shape(of_inputs);
    return add(std::move(op), std::move(inputs), shape);
  }

  int reshape(int input, const Shape& shape) {
    std::vector<Index> target;
    for (int axis = 0; axis < shape.rank(); ++axis) target.push_back(shape[axis]);
    return add(std::make_unique<ops::Reshape>(target, DType::kUInt8, Isa::kPortable), {input},
               shape);
  }

  int sum(int lhs, int rhs) {
    const ops::Quantization quantization{1.0F, 0};
    return add(std::make_unique<ops::Add>(quantization, quantization, quantization, ops::Clamp{},
                                          Isa::kPortable),
               {lhs, rhs}, shapes[static_cast<std::size_t>(lhs)]);
  }

  int lookup(int input) {
    const std::vector<std::uint8_t> table(256);
    return add(std::make_unique<ops::Lookup>(table, Isa::kPortable), {input},
               shapes[static_cast<std::size_t>(input)]);
  }
};

struct Placed {
  std::vector<FusedStep> steps;
  Placement placement;

  const Home& home(int tensor) const { return placement.homes[static_cast<std::size_t>(tensor)]; }
  bool is_slice(int tensor, int block, Index first_channel) const {
    return home(tensor).kind == Home::Kind::kSlice && home(tensor).block == block &&
           home(tensor).first_channel == first_channel;
  }
  bool owns_block(int tensor) const { return home(tensor).kind == Home::Kind::kBlock; }
  const ops::Border& border(int tensor) const {
    return placement.layouts[static_cast<std::size_t>(tensor)].border;
  }
};

Placed place(const Net& net, const std::vector<int>& outputs) {
  Placed placed{fuse(net.program, net.shapes, outputs), {}};
  placed.placement = place(net.program, net.shapes, placed.steps, outputs);
  return placed;
}

TEST(a_tensor_gets_the_union_of_the_borders_that_its_readers_want) {
  Net net;
  const Shape shape{1, 8, 10, 10};
  const int x = net.stub(net.input(shape), shape);
  const int narrow = net.stub(x, shape, {.border = {1, 1, 1, 1}});
  const int wide = net.stub(x, shape, {.border = {0, 2, 2, 0}});
  const Placed placed = place(net, {narrow, wide});
  CHECK((placed.border(x) == ops::Border{1, 2, 2, 1}));
  CHECK(placed.border(narrow) == ops::Border{});
}

TEST(a_tensor_has_no_border_if_any_step_needs_it_without_gaps) {
  const Shape shape{1, 8, 10, 10};
  for (const int dense_step : {0, 1, 2}) {
    test::set_context("dense step", dense_step);
    Net net;
    const int x = net.stub(net.input(shape), shape, {.takes_pitches = dense_step != 0});
    const int a = net.stub(x, shape, {.takes_pitches = dense_step != 1, .border = {1, 1, 1, 1}});
    const int b = net.stub(x, shape, {.takes_pitches = dense_step != 2, .border = {1, 1, 1, 1}});
    CHECK(place(net, {a, b}).border(x) == ops::Border{});
  }
}

TEST(a_border_that_would_cost_too_much_memory_is_left_out) {
  Net net;
  const Shape shape{1, 64, 14, 14};
  const int x = net.stub(net.input(shape), shape);
  const int near = net.stub(x, shape, {.border = {1, 1, 1, 1}});
  const int far = net.stub(x, shape, {.border = {18, 18, 18, 18}});
  CHECK((place(net, {near, far}).border(x) == ops::Border{1, 1, 1, 1}));
}

TEST(inputs_of_a_concatenation_become_its_slices) {
  Net net;
  const Shape shape{2, 5, 4, 4};
  const int x = net.input(shape);
  const int a = net.stub(x, shape);
  const int b = net.stub(x, {2, 3, 4, 4});
  const int joined = net.concat({a, b});
  const int y = net.stub(joined, {2, 8, 4, 4}, {.border = {1, 1, 1, 1}});
  const Placed placed = place(net, {y});
  CHECK(placed.is_slice(a, joined, 0));
  CHECK(placed.is_slice(b, joined, 5));
  CHECK_EQUAL(placed.steps.size(), 3U);
  CHECK((placed.border(joined) == ops::Border{1, 1, 1, 1}));
  const ops::TensorView slice = placed.placement.view(b, nullptr);
  CHECK_EQUAL(slice.pixel_pitch, 8);
  CHECK_EQUAL(slice.row_pitch, 5 * 8);
}

TEST(what_cannot_become_a_slice_is_copied_to_its_place) {
  Net net;
  const Shape shape{1, 4, 3, 3};
  const int x = net.input(shape);
  const int a = net.stub(x, shape);
  const int twice = net.stub(x, shape);
  const int dense = net.stub(x, shape, {.takes_pitches = false});
  const int joined = net.concat({x, twice, a, dense, twice});
  const Placed placed = place(net, {joined});
  CHECK(placed.is_slice(a, joined, 8));
  for (const int tensor : {x, twice, dense}) CHECK(placed.owns_block(tensor));
  std::vector<Index> copied_to;
  for (const FusedStep& step : placed.steps) {
    if (step.slice < 0) continue;
    CHECK_EQUAL(step.output, joined);
    CHECK_EQUAL(placed.home(step.slice).block, joined);
    copied_to.push_back(placed.home(step.slice).first_channel);
  }
  CHECK_EQUAL(copied_to, (std::vector<Index>{0, 4, 12, 16}));
}

TEST(a_concatenation_is_a_step_if_its_output_must_be_without_gaps) {
  Net net;
  const Shape shape{1, 4, 3, 3};
  const int x = net.input(shape);
  const int a = net.stub(x, shape);
  const int joined = net.concat({a, x});
  const int y = net.stub(joined, {1, 8, 3, 3}, {.takes_pitches = false});
  const Placed placed = place(net, {y});
  CHECK(placed.owns_block(a));
  CHECK_EQUAL(placed.steps.size(), 3U);
}

TEST(nested_concatenations_share_one_block) {
  Net net;
  const Shape shape{1, 4, 3, 3};
  const int x = net.input(shape);
  const int a = net.stub(x, shape);
  const int b = net.stub(x, shape);
  const int inner = net.concat({a, b});
  const int c = net.stub(inner, shape);
  const int outer = net.concat({c, inner});
  const Placed placed = place(net, {outer});
  CHECK(placed.is_slice(inner, outer, 4));
  CHECK(placed.is_slice(a, outer, 4));
  CHECK(placed.is_slice(b, outer, 8));
  CHECK_EQUAL(placed.steps.size(), 3U);
}

TEST(growing_concatenations_are_windows_of_the_last) {
  Net net;
  const Shape shape{1, 4, 3, 3};
  std::vector<int> features = {net.stub(net.input(shape), shape)};
  std::vector<int> joined;
  for (int layer = 0; layer < 3; ++layer) {
    features.push_back(net.stub(joined.empty() ? features[0] : joined.back(), shape));
    joined.push_back(net.concat(features));
  }
  const Placed placed = place(net, {joined.back()});
  CHECK(placed.is_slice(joined[0], joined[2], 0));
  CHECK(placed.is_slice(joined[1], joined[2], 0));
  for (std::size_t i = 0; i < features.size(); ++i) {
    CHECK(placed.is_slice(features[i], joined[2], static_cast<Index>(4 * i)));
  }
  CHECK_EQUAL(placed.steps.size(), features.size());
}

TEST(a_reshape_that_moves_no_bytes_is_an_alias) {
  const struct {
    Shape from;
    Shape to;
    bool is_alias;
  } cases[] = {
      {{2, 8, 1, 1}, {2, 8}, true},        {{2, 8}, {2, 8, 1, 1}, true},
      {{2, 3, 4}, {2, 12}, true},          {{2, 8, 3, 5}, {2, 8, 15, 1}, true},
      {{1, 1, 4, 5}, {1, 20}, true},       {{2, 8, 3, 5}, {2, 120}, false},
      {{2, 8, 3, 5}, {2, 4, 6, 5}, false}, {{2, 30}, {2, 2, 3, 5}, false},
  };
  for (const auto& [from, to, is_alias] : cases) {
    test::set_context(from.to_string(), to.to_string());
    Net net;
    const int x = net.stub(net.input(from), from);
    const int y = net.reshape(x, to);
    const Placed placed = place(net, {y});
    CHECK_EQUAL(placed.home(y).kind == Home::Kind::kAlias, is_alias);
    CHECK_EQUAL(placed.home(y).block, is_alias ? x : y);
    CHECK_EQUAL(placed.steps.size(), is_alias ? 1U : 2U);
  }
}

TEST(a_reshape_of_a_slice_is_a_copy) {
  Net net;
  const Shape shape{1, 4, 1, 1};
  const int x = net.input(shape);
  const int a = net.stub(x, shape);
  const int joined = net.concat({a, x});
  const int flat = net.reshape(a, {1, 4});
  const int flat_joined = net.reshape(joined, {1, 8});
  const Placed placed = place(net, {flat, flat_joined});
  CHECK(placed.is_slice(a, joined, 0));
  CHECK(placed.owns_block(flat));
  CHECK_EQUAL(placed.home(flat_joined).block, joined);
}

TEST(a_lookup_and_an_addition_become_part_of_the_step_before_them) {
  Net net;
  const Shape shape{1, 4, 3, 3};
  const int x = net.input(shape);
  const int a = net.stub(x, shape);
  const int y = net.sum(x, net.lookup(a));
  const std::vector<FusedStep> steps = fuse(net.program, net.shapes, std::vector{y});
  CHECK_EQUAL(steps.size(), 1U);
  CHECK(steps[0].lookup != nullptr && steps[0].add != nullptr);
  CHECK_EQUAL(steps[0].addend, x);
  CHECK(steps[0].is_addend_first);
  CHECK_EQUAL(steps[0].output, y);
}

TEST(a_step_waits_for_the_other_operand_of_its_addition) {
  Net net;
  const Shape shape{1, 4, 3, 3};
  const int x = net.input(shape);
  const int fusing = net.stub(x, shape);
  const int other = net.stub(x, shape, {.can_fuse = false});
  const int y = net.sum(fusing, other);
  const std::vector<FusedStep> steps = fuse(net.program, net.shapes, std::vector{y});
  CHECK_EQUAL(steps.size(), 2U);
  CHECK_EQUAL(steps[0].output, other);
  CHECK_EQUAL(steps[1].addend, other);
  CHECK(!steps[1].is_addend_first);
}

TEST(the_later_of_two_steps_takes_their_sum) {
  Net net;
  const Shape shape{1, 4, 3, 3};
  const int x = net.input(shape);
  const int first = net.stub(x, shape);
  const int second = net.stub(x, shape);
  const int y = net.sum(first, second);
  const std::vector<FusedStep> steps = fuse(net.program, net.shapes, std::vector{y});
  CHECK_EQUAL(steps.size(), 2U);
  CHECK_EQUAL(steps[0].output, first);
  CHECK_EQUAL(steps[1].addend, first);
}

TEST(nothing_is_fused_that_others_read_or_the_caller_wants) {
  const Shape shape{1, 4, 3, 3};
  Net net;
  const int x = net.input(shape);
  const int a = net.stub(x, shape);
  const int looked_up = net.lookup(a);
  CHECK_EQUAL(fuse(net.program, net.shapes, std::vector{looked_up}).size(), 1U);
  CHECK_EQUAL(fuse(net.program, net.shapes, std::vector{a, looked_up}).size(), 2U);
  const int other = net.stub(a, shape);
  CHECK_EQUAL(fuse(net.program, net.shapes, std::vector{looked_up, other}).size(), 3U);

  Net doubled;
  const int single = doubled.stub(doubled.input(shape), shape);
  const int y = doubled.sum(single, single);
  CHECK_EQUAL(fuse(doubled.program, doubled.shapes, std::vector{y}).size(), 2U);
}

/// A net of floats with the parts of an encoder that lie between its products.
class FloatNet : public Net {
 public:
  int floats(const Shape& shape) {
    const int index = tensor(shape);
    program.tensors.back().dtype = DType::kFloat32;
    return index;
  }

  int float_input(const Shape& shape) {
    program.inputs.push_back(floats(shape));
    return program.inputs.back();
  }

  int binary(kernels::BinaryFunction function, int lhs, int rhs) {
    const Shape shape = shapes[static_cast<std::size_t>(lhs)];
    const int output = floats(shape);
    program.steps.push_back(
        {std::make_unique<ops::Binary>(function, Isa::kPortable), {lhs, rhs}, output});
    return output;
  }

  int layer_norm(int input) {
    const int output = floats(shapes[static_cast<std::size_t>(input)]);
    program.steps.push_back(
        {std::make_unique<ops::LayerNorm>(ops::LayerNormConstants{{}, {}, 0.1F}, Isa::kPortable),
         {input},
         output});
    return output;
  }

  int constant(const Shape& shape) {
    const std::vector<std::byte> values(static_cast<std::size_t>(4 * shape.element_count()));
    const int output = floats(shape);
    program.steps.push_back(
        {std::make_unique<ops::ConstantTensor>(shape, DType::kFloat32, values, Isa::kPortable),
         {},
         output});
    return output;
  }

  int quantize(int input) {
    return add(std::make_unique<ops::Quantize>(ops::Quantization{0.5F, 3}, Isa::kPortable), {input},
               shapes[static_cast<std::size_t>(input)]);
  }
};

TEST(a_layer_norm_takes_the_sum_before_it_and_the_quantization_behind_it) {
  FloatNet net;
  const Shape shape{2, 3, 8};
  const int x = net.float_input(shape);
  const int y = net.float_input(shape);
  const int sum = net.binary(kernels::BinaryFunction::kAdd, x, y);
  const int normalized = net.layer_norm(sum);
  const int quantized = net.quantize(normalized);
  const int next = net.binary(kernels::BinaryFunction::kMul, normalized, y);
  const std::vector<FusedStep> steps = fuse(net.program, net.shapes, std::vector{quantized, next});
  CHECK_EQUAL(steps.size(), 2U);
  CHECK_EQUAL(steps[0].inputs, (std::vector{x, y}));
  CHECK_EQUAL(steps[0].absorbed, std::vector{sum});
  CHECK_EQUAL(steps[0].output, normalized);
  CHECK_EQUAL(steps[0].quantized, quantized);
  CHECK_EQUAL(steps[1].output, next);
}

TEST(a_sum_stays_a_step_if_others_read_it_or_it_repeats_an_operand) {
  const Shape shape{2, 3, 8};
  for (const int obstacle : {0, 1, 2, 3}) {
    test::set_context("obstacle", obstacle);
    FloatNet net;
    const int x = net.float_input(shape);
    const int y = net.float_input(obstacle == 0 ? Shape{1, 3, 8} : shape);
    const auto function =
        obstacle == 1 ? kernels::BinaryFunction::kSub : kernels::BinaryFunction::kAdd;
    const int sum = net.binary(function, x, y);
    const int normalized = net.layer_norm(sum);
    std::vector<int> outputs = {normalized};
    if (obstacle == 2) outputs.push_back(sum);
    if (obstacle == 3) outputs.push_back(net.binary(function, sum, x));
    const std::size_t count = net.program.steps.size();
    CHECK_EQUAL(fuse(net.program, net.shapes, outputs).size(), count);
  }
}

TEST(a_quantization_that_changes_the_layout_stays_a_step) {
  FloatNet net;
  const int normalized = net.layer_norm(net.float_input({1, 4, 3, 8}));
  const int quantized = net.quantize(normalized);
  CHECK_EQUAL(fuse(net.program, net.shapes, std::vector{quantized}).size(), 2U);
}

TEST(one_of_two_quantizations_is_fused) {
  FloatNet net;
  const int normalized = net.layer_norm(net.float_input({4, 8}));
  const int first = net.quantize(normalized);
  const int second = net.quantize(normalized);
  const std::vector<FusedStep> steps = fuse(net.program, net.shapes, std::vector{first, second});
  CHECK_EQUAL(steps.size(), 2U);
  CHECK_EQUAL(steps[0].quantized, first);
  CHECK_EQUAL(steps[1].output, second);
}

TEST(a_layer_norm_writes_over_an_input_that_nothing_reads_later) {
  const Shape shape{2, 3, 8};
  FloatNet net;
  const int given = net.float_input(shape);
  const int x = net.binary(kernels::BinaryFunction::kMul, given, given);
  const int flat = net.floats({6, 8});
  net.program.steps.push_back(
      {std::make_unique<ops::Reshape>(std::vector<Index>{6, 8}, DType::kFloat32, Isa::kPortable),
       {x},
       flat});
  const int over = net.layer_norm(flat);
  const int last = net.layer_norm(over);
  const int y = net.binary(kernels::BinaryFunction::kMul, last, last);
  const Placed placed = place(net, {y});
  for (const int tensor : {flat, over, last}) {
    CHECK(placed.home(tensor).kind == Home::Kind::kAlias);
    CHECK_EQUAL(placed.home(tensor).block, x);
  }
  CHECK(placed.owns_block(y));
}

TEST(a_layer_norm_keeps_an_input_that_is_read_later_or_belongs_to_others) {
  const Shape shape{2, 3, 8};
  for (const int obstacle : {0, 1, 2, 3}) {
    test::set_context("obstacle", obstacle);
    FloatNet net;
    const int given = net.float_input(shape);
    int x = net.binary(kernels::BinaryFunction::kMul, given, given);
    if (obstacle == 0) x = given;
    if (obstacle == 1) x = net.constant(shape);
    const int normalized = net.layer_norm(x);
    std::vector<int> outputs = {normalized};
    if (obstacle == 2) outputs.push_back(x);
    if (obstacle == 3) outputs.push_back(net.binary(kernels::BinaryFunction::kMul, x, normalized));
    CHECK(place(net, outputs).owns_block(normalized));
  }
}

TEST(a_constant_is_read_where_it_lies) {
  FloatNet net;
  const Shape shape{2, 3};
  const int constant = net.constant(shape);
  const auto* op = dynamic_cast<const ops::ConstantTensor*>(net.program.steps[0].op.get());
  const int y = net.layer_norm(constant);
  const Placed placed = place(net, {y});
  CHECK_EQUAL(placed.steps.size(), 1U);
  CHECK(placed.placement.constants[static_cast<std::size_t>(constant)] == op->view().data);
  CHECK(placed.placement.constants[static_cast<std::size_t>(y)] == nullptr);
}

}  // namespace
}  // namespace smidgen::engine
