#include "random_net.h"

#include <algorithm>
#include <array>

namespace smidgen::engine {
namespace {

/// Adds random steps to a program, one after the other.
class RandomNet {
 public:
  RandomNet(std::uint64_t seed, DType dtype) : dtype_(dtype), random_(seed) {}

  SampleNet finish(const char* kind, std::uint64_t seed) && {
    for (const Value& value : values_) {
      if (is_output(value.tensor)) b_.program.outputs.push_back(value.tensor);
    }
    return {kind + std::to_string(seed), std::move(b_.program), std::move(inputs_)};
  }

 protected:
  struct Value {
    int tensor;
    Shape shape;
  };

  Index pick(Index low, Index high) { return random_.between(low, high); }

  Value any() { return values_[static_cast<std::size_t>(pick(0, std::ssize(values_) - 1))]; }

  /// A value of the same shape as another, perhaps this itself.
  Value any_like(const Value& other) {
    std::vector<Value> alike;
    std::ranges::copy_if(values_, std::back_inserter(alike),
                         [&](const Value& value) { return value.shape == other.shape; });
    return alike[static_cast<std::size_t>(pick(0, std::ssize(alike) - 1))];
  }

  int make(const Shape& shape) {
    const float scale = 0.02F * static_cast<float>(pick(1, 10));
    const int tensor =
        b_.tensor(dtype_, shape.rank(), scale, static_cast<int>(random_.between(0, 255)));
    values_.push_back({tensor, shape});
    return tensor;
  }

  /// Makes a tensor that keeps the input's scale, as steps that move values need.
  int make_like(const Value& input, const Shape& shape) {
    const int tensor = make(shape);
    auto& tensors = b_.program.tensors;
    tensors[static_cast<std::size_t>(tensor)].quantization =
        tensors[static_cast<std::size_t>(input.tensor)].quantization;
    return tensor;
  }

  template <typename Step>
  void add(Step step) {
    b_.program.steps.emplace_back(std::move(step));
  }

  Builder b_;
  std::vector<Value> values_;
  std::vector<Shape> inputs_;

 private:
  bool is_output(int tensor) const {
    const auto reads = [&](const Step& step) {
      return std::ranges::count(step_inputs(step), tensor) > 0;
    };
    return std::ranges::none_of(b_.program.steps, reads);
  }

  DType dtype_;
  test::Random random_;
};

class RandomImageNet : public RandomNet {
 public:
  explicit RandomImageNet(std::uint64_t seed) : RandomNet(seed, DType::kUInt8) {
    const Shape image{pick(1, 2), 3, pick(9, 20), pick(9, 20)};
    const int x = b_.tensor(DType::kFloat32, 4);
    b_.program.inputs = {x};
    inputs_ = {image};
    add(Quantize{x, make(image)});
    const Index count = pick(6, 16);
    for (Index i = 0; i < count; ++i) add_step();
  }

 private:
  using Adder = void (RandomImageNet::*)(const Value&);

  void add_step() {
    constexpr std::array kAdders = {
        &RandomImageNet::conv,    &RandomImageNet::conv,           &RandomImageNet::depthwise,
        &RandomImageNet::sum,     &RandomImageNet::product,        &RandomImageNet::lookup,
        &RandomImageNet::average, &RandomImageNet::maximum,        &RandomImageNet::concat,
        &RandomImageNet::resize,  &RandomImageNet::transposed_conv};
    const Adder adder = kAdders[static_cast<std::size_t>(pick(0, std::ssize(kAdders) - 1))];
    (this->*adder)(any());
  }

  ops::Window window() {
    const Index kernel = 2 * pick(0, 2) + 1;
    ops::Window window{.kernel = {kernel, kernel}};
    window.stride.fill(pick(1, 2));
    for (Index& side : window.padding) side = pick(kernel / 2, kernel - 1);
    return window;
  }

  void conv(const Value& x) {
    const ops::Window window = this->window();
    const Index groups = x.shape[1] % 2 == 0 ? pick(1, 2) : 1;
    const Index outs = groups * pick(1, 40);
    const int out = make(ops::windowed_shape(x.shape, outs, window));
    b_.add_conv(x.tensor, out, {outs, x.shape[1] / groups, window.kernel[0], window.kernel[1]},
                window, groups);
  }

  void depthwise(const Value& x) {
    const ops::Window window = this->window();
    const Index channels = x.shape[1];
    const int out = make(ops::windowed_shape(x.shape, channels, window));
    b_.add_conv(x.tensor, out, {channels, 1, window.kernel[0], window.kernel[1]}, window, channels);
  }

  void transposed_conv(const Value& x) {
    if (x.shape[2] * x.shape[3] > 400) return lookup(x);
    const Index outs = pick(1, 9);
    const Index stride = pick(1, 2);
    const int out =
        make({x.shape[0], outs, (x.shape[2] - 1) * stride + 1, (x.shape[3] - 1) * stride + 3});
    b_.add_transposed_conv(x.tensor, out, {x.shape[1], outs, 3, 3}, stride, 1);
  }

  void sum(const Value& x) { add(Add{x.tensor, any_like(x).tensor, make(x.shape), {}}); }

  void product(const Value& x) { add(Multiply{x.tensor, any_like(x).tensor, make(x.shape), {}}); }

  void lookup(const Value& x) { b_.add_lookup(x.tensor, make(x.shape)); }

  void average(const Value& x) {
    const bool is_global = pick(0, 2) == 0;
    const ops::Window window = this->window();
    const Shape shape = is_global ? Shape{x.shape[0], x.shape[1], 1, 1}
                                  : ops::windowed_shape(x.shape, x.shape[1], window);
    add(AveragePool2d{x.tensor, make(shape), window, is_global, pick(0, 1) == 1, {}});
  }

  void maximum(const Value& x) {
    const ops::Window window = this->window();
    add(MaxPool2d{x.tensor, make_like(x, ops::windowed_shape(x.shape, x.shape[1], window)),
                  window});
  }

  void concat(const Value& x) {
    if (x.shape[1] > 60) return lookup(x);
    add(Concat{{x.tensor, x.tensor},
               make_like(x, {x.shape[0], 2 * x.shape[1], x.shape[2], x.shape[3]})});
  }

  void resize(const Value& x) {
    constexpr std::array kModes = {"nearest", "nearest_exact", "bilinear"};
    const std::array<Index, 2> size = {pick(3, 20), pick(3, 20)};
    const auto ratio = [&](std::size_t axis) {
      return static_cast<float>(x.shape[static_cast<int>(axis) + 2]) /
             static_cast<float>(size[axis]);
    };
    add(Resize{x.tensor,
               make_like(x, {x.shape[0], x.shape[1], size[0], size[1]}),
               kModes[static_cast<std::size_t>(pick(0, 2))],
               size,
               {ratio(0), ratio(1)},
               false});
  }
};

class RandomFloatNet : public RandomNet {
 public:
  explicit RandomFloatNet(std::uint64_t seed) : RandomNet(seed, DType::kFloat32) {
    inputs_ = {{pick(1, 3), pick(2, 9), pick(3, 40)}};
    b_.program.inputs = {make(inputs_.front())};
    const Index count = pick(6, 16);
    for (Index i = 0; i < count; ++i) add_step();
  }

 private:
  using Adder = void (RandomFloatNet::*)(const Value&);

  void add_step() {
    constexpr std::array kAdders = {&RandomFloatNet::unary,     &RandomFloatNet::binary,
                                    &RandomFloatNet::softmax,   &RandomFloatNet::layer_norm,
                                    &RandomFloatNet::linear,    &RandomFloatNet::matmul,
                                    &RandomFloatNet::transpose, &RandomFloatNet::reduce,
                                    &RandomFloatNet::slice,     &RandomFloatNet::pad};
    const Adder adder = kAdders[static_cast<std::size_t>(pick(0, std::ssize(kAdders) - 1))];
    (this->*adder)(any());
  }

  void unary(const Value& x) {
    constexpr std::array kFunctions = {"relu", "gelu", "sigmoid", "tanh", "neg", "abs", "exp"};
    add(Unary{x.tensor,
              make(x.shape),
              kFunctions[static_cast<std::size_t>(pick(0, std::ssize(kFunctions) - 1))],
              {}});
  }

  void binary(const Value& x) {
    constexpr std::array kFunctions = {"add", "sub", "mul", "minimum", "maximum"};
    add(Binary{x.tensor, any_like(x).tensor, make(x.shape),
               kFunctions[static_cast<std::size_t>(pick(0, std::ssize(kFunctions) - 1))]});
  }

  void softmax(const Value& x) {
    add(Softmax{x.tensor, make(x.shape), static_cast<int>(pick(0, 2))});
  }

  void layer_norm(const Value& x) {
    const int weight = pick(0, 1) == 0 ? -1 : b_.floats({x.shape[2]});
    const int bias = pick(0, 1) == 0 ? -1 : b_.floats({x.shape[2]});
    add(LayerNorm{x.tensor, make(x.shape), 1e-3F, weight, bias});
  }

  void linear(const Value& x) {
    const Index outs = pick(1, 70);
    b_.add_dynamic_linear(x.tensor, make({x.shape[0], x.shape[1], outs}), x.shape[2], outs);
  }

  /// The product of rows with themselves.
  void matmul(const Value& x) {
    add(MatMul{x.tensor, x.tensor, make({x.shape[0], x.shape[1], x.shape[1]}), true});
  }

  void transpose(const Value& x) {
    add(Transpose{x.tensor, make({x.shape[0], x.shape[2], x.shape[1]}), {0, 2, 1}});
  }

  void reduce(const Value& x) {
    constexpr std::array kFunctions = {"sum", "mean", "maximum", "minimum"};
    const int axis = static_cast<int>(pick(1, 2));
    const Shape shape =
        axis == 1 ? Shape{x.shape[0], 1, x.shape[2]} : Shape{x.shape[0], x.shape[1], 1};
    add(Reduce{
        x.tensor, make(shape), kFunctions[static_cast<std::size_t>(pick(0, 3))], {axis}, true});
  }

  void slice(const Value& x) {
    const Index extent = (x.shape[2] + 1) / 2;
    add(Slice{x.tensor, make({x.shape[0], x.shape[1], extent}), 2, 0, x.shape[2], 2});
  }

  void pad(const Value& x) {
    const std::array<Index, 2> pads = {pick(0, 3), pick(0, 3)};
    add(Pad{x.tensor,
            make({x.shape[0], x.shape[1], pads[0] + x.shape[2] + pads[1]}),
            {{0, 0}, {0, 0}, pads},
            0.5F});
  }
};

}  // namespace

SampleNet random_image_net(std::uint64_t seed) {
  return RandomImageNet(seed).finish("image net ", seed);
}

SampleNet random_float_net(std::uint64_t seed) {
  return RandomFloatNet(seed).finish("float net ", seed);
}

}  // namespace smidgen::engine
