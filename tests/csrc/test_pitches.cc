#include <array>
#include <cstring>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "check.h"
#include "guarded.h"
#include "ops/add.h"
#include "ops/concat.h"
#include "ops/lookup.h"
#include "ops/multiply.h"
#include "ops/pool.h"
#include "ops/quantize.h"
#include "ops/resize.h"

// Operators that take pitches give the same values on tensors with gaps as on dense ones, and leave
// the gaps of their outputs alone.

namespace smidgen::ops {
namespace {

constexpr std::uint8_t kUntouched = 0xA5;

/// Bytes between what a dense tensor has side by side.
struct Gaps {
  Index pixel;
  Index row;
  Index image;
};

constexpr std::array kGaps = {Gaps{0, 0, 0}, Gaps{0, 6, 0}, Gaps{0, 0, 10}, Gaps{5, 0, 0},
                              Gaps{3, 11, 17}};

/// A tensor in memory of its own, against a fence: rank 4 uint8 with gaps, all else dense.
class Tensor {
 public:
  Tensor(const Shape& shape, bool is_float, const Gaps& gaps)
      : view_(dense_view(shape, nullptr)), has_pixels_(!is_float && shape.rank() == 4) {
    Index bytes = shape.element_count() * (is_float ? Index{sizeof(float)} : Index{1});
    if (has_pixels_) {
      view_.pixel_pitch = shape[1] + gaps.pixel;
      view_.row_pitch = shape[3] * view_.pixel_pitch + gaps.row;
      view_.image_pitch = shape[2] * view_.row_pitch + gaps.image;
      bytes = shape[0] * view_.image_pitch;
    }
    // Callers' floats have no slack.
    memory_ = fences_.buffer(bytes, is_float ? 0 : kSlack);
    std::memset(memory_.data(), kUntouched, static_cast<std::size_t>(bytes));
    view_.data = memory_.data();
  }

  const TensorView& view() const { return view_; }

  /// The places of the values, in memory, in one order for all gaps.
  std::vector<Index> places() const {
    const Shape& shape = view_.shape;
    std::vector<Index> places;
    if (!has_pixels_) {
      for (Index i = 0; i < memory_.size(); ++i) places.push_back(i);
      return places;
    }
    for (Index image = 0; image < shape[0]; ++image) {
      for (Index y = 0; y < shape[2]; ++y) {
        for (Index x = 0; x < shape[3]; ++x) {
          const Index first = view_.pixel(image, y, x) - view_.u8();
          for (Index c = 0; c < shape[1]; ++c) places.push_back(first + c);
        }
      }
    }
    return places;
  }

  std::vector<std::uint8_t> values() const {
    std::vector<std::uint8_t> values;
    for (const Index place : places()) values.push_back(view_.u8()[place]);
    return values;
  }

  void set_values(const std::vector<std::uint8_t>& values) {
    const std::vector<Index> all = places();
    for (std::size_t i = 0; i < all.size(); ++i) view_.u8()[all[i]] = values[i];
  }

  bool are_gaps_intact() const {
    std::vector<bool> is_value(static_cast<std::size_t>(memory_.size()), false);
    for (const Index place : places()) is_value[static_cast<std::size_t>(place)] = true;
    for (std::size_t i = 0; i < is_value.size(); ++i) {
      if (!is_value[i] && view_.u8()[i] != kUntouched) return false;
    }
    return true;
  }

 private:
  TensorView view_;
  bool has_pixels_;
  test::FencedMemory fences_;
  AlignedBuffer memory_;
};

struct Example {
  std::string_view name;
  std::vector<Shape> inputs;
  bool takes_floats = false;
  bool gives_floats = false;
  std::function<std::unique_ptr<Operator>(Isa)> make;
};

std::vector<std::uint8_t> random_bytes(const Shape& shape, bool is_float, test::Random& random) {
  const Index count = shape.element_count();
  if (!is_float) return random.values<std::uint8_t>(count, 0, 255);
  const auto integers = random.values<std::int32_t>(count, -9000, 9000);
  std::vector<std::uint8_t> bytes(integers.size() * sizeof(float));
  for (std::size_t i = 0; i < integers.size(); ++i) {
    const float value = static_cast<float>(integers[i]) * 0.01F;
    std::memcpy(bytes.data() + i * sizeof(float), &value, sizeof(float));
  }
  return bytes;
}

/// Runs all parts of the operator and returns its values.
std::vector<std::uint8_t> run(const Example& example, Isa isa, const Gaps& gaps, int parts) {
  const std::unique_ptr<Operator> op = example.make(isa);
  CHECK(op->takes_pitches());
  test::Random random(15);
  std::vector<Tensor> inputs;
  std::vector<TensorView> views;
  for (const Shape& shape : example.inputs) {
    inputs.emplace_back(shape, example.takes_floats, gaps);
    inputs.back().set_values(random_bytes(shape, example.takes_floats, random));
    views.push_back(inputs.back().view());
  }
  const Tensor output(op->output_shape(example.inputs), example.gives_floats, gaps);
  const Epilogue none;
  test::FencedMemory memory;
  AlignedBuffer scratch = memory.buffer(op->scratch_bytes(example.inputs));
  for (int part = 0; part < parts; ++part) {
    op->run({.inputs = views,
             .output = output.view(),
             .epilogue = none,
             .scratch = scratch.data(),
             .part = part,
             .parts = parts,
             .candidate = 0});
  }
  CHECK(output.are_gaps_intact());
  return output.values();
}

constexpr Quantization kLeft{0.11F, 120};
constexpr Quantization kRight{0.02F, 31};
constexpr Quantization kResult{0.3F, 99};

AveragePoolSettings average_of(const Window& window, bool is_global) {
  return {window, is_global, false, kLeft, kResult, {}};
}

std::vector<Example> examples() {
  const Shape wide{2, 70, 5, 6};
  const Shape narrow{2, 3, 5, 6};
  const Window window{.kernel = {3, 3}, .stride = {2, 2}, .padding = {1, 1, 1, 1}};
  const Window dilated{.kernel = {2, 3}, .padding = {1, 2, 0, 2}, .dilation = {2, 2}};
  static const auto table = test::Random(16).values<std::uint8_t>(256, 0, 255);
  const auto multiply = [](Isa isa) {
    return std::make_unique<Multiply>(kLeft, kRight, kResult, Clamp{}, isa);
  };
  const auto quantize = [](Isa isa) { return std::make_unique<Quantize>(kLeft, isa); };
  const auto dequantize = [](Isa isa) { return std::make_unique<Dequantize>(kLeft, isa); };
  const auto resize = [](ResizeMode mode) {
    return [mode](Isa isa) {
      return std::make_unique<Resize>(ResizeSettings{mode, {7, 4}, {0.7F, 1.5F}, false}, isa);
    };
  };
  return {
      {"quantize 70", {wide}, true, false, quantize},
      {"quantize 3", {narrow}, true, false, quantize},
      {"quantize 1", {{3, 1, 5, 300}}, true, false, quantize},
      {"quantize pixel", {{3, 33, 1, 1}}, true, false, quantize},
      {"dequantize 70", {wide}, false, true, dequantize},
      {"dequantize 3", {narrow}, false, true, dequantize},
      {"dequantize 1", {{3, 1, 5, 300}}, false, true, dequantize},
      {"multiply", {wide, wide}, false, false, multiply},
      {"multiply by factors", {narrow, {2, 3, 1, 1}}, false, false, multiply},
      {"multiply factors by", {{2, 70, 1, 1}, wide}, false, false, multiply},
      {"add",
       {narrow, narrow},
       false,
       false,
       [](Isa isa) { return std::make_unique<Add>(kLeft, kRight, kResult, Clamp{}, isa); }},
      {"lookup",
       {wide},
       false,
       false,
       [](Isa isa) { return std::make_unique<Lookup>(table, isa); }},
      {"concat", {wide, narrow}, false, false, [](Isa) { return std::make_unique<Concat>(); }},
      {"average",
       {wide},
       false,
       false,
       [=](Isa isa) { return std::make_unique<AveragePool2d>(average_of(window, false), isa); }},
      {"global average",
       {{1, 150, 5, 6}},
       false,
       false,
       [](Isa isa) { return std::make_unique<AveragePool2d>(average_of({}, true), isa); }},
      {"maximum",
       {narrow},
       false,
       false,
       [=](Isa isa) { return std::make_unique<MaxPool2d>(window, isa); }},
      {"dilated maximum",
       {wide},
       false,
       false,
       [=](Isa isa) { return std::make_unique<MaxPool2d>(dilated, isa); }},
      {"nearest", {wide}, false, false, resize(ResizeMode::kNearest)},
      {"bilinear", {narrow}, false, false, resize(ResizeMode::kBilinear)},
  };
}

TEST(gaps_change_no_value) {
  for (const Example& example : examples()) {
    const std::vector<std::uint8_t> expected = run(example, Isa::kPortable, Gaps{}, 1);
    for (const Isa isa : available_isas()) {
      for (const Gaps& gaps : kGaps) {
        for (const int parts : {1, 2, 3}) {
          test::set_context(example.name, name_of(isa), "gaps", gaps.pixel, gaps.row, gaps.image,
                            "parts", parts);
          CHECK(run(example, isa, gaps, parts) == expected);
        }
      }
    }
  }
}

}  // namespace
}  // namespace smidgen::ops
