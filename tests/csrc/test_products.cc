#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "base/aligned_buffer.h"
#include "check.h"
#include "kernels/gemm/reference.h"
#include "kernels/round_and_clamp.h"
#include "layers.h"
#include "ops/add.h"
#include "ops/conv2d.h"
#include "ops/dynamic_linear.h"
#include "ops/linear.h"
#include "ops/lookup.h"

namespace smidgen::ops {
namespace {

/// A dense tensor that ends at a fence, but for the slack that every tensor has.
template <typename T>
TensorView copy_of(const Shape& shape, const std::vector<T>& values, test::FencedMemory& memory,
                   AlignedBuffer& buffer) {
  buffer = memory.buffer(static_cast<Index>(values.size() * sizeof(T)));
  std::memcpy(buffer.data(), values.data(), values.size() * sizeof(T));
  return dense_view(shape, buffer.data());
}

TEST(linear_layers_take_any_leading_extents_and_write_bytes_or_floats) {
  for (const Isa isa : available_isas()) {
    test::Random random(1);
    for (const auto& [rows, k, n] : {std::array<Index, 3>{1, 5, 3}, std::array<Index, 3>{6, 64, 70},
                                     std::array<Index, 3>{90, 131, 33}}) {
      test::set_context(name_of(isa), "rows", rows, "k", k, "n", n);
      const Layer layer(n, k, random);
      const auto x = random.values<std::uint8_t>(2 * rows * k, 0, 255);
      test::FencedMemory memory;
      AlignedBuffer input;
      const TensorView view = copy_of({2, rows, k}, x, memory, input);
      const auto multipliers = requantize_multipliers(layer.view());
      const auto scales = accumulator_scales(layer.view());
      kernels::GemmOperands operands{.m = 2 * rows,
                                     .n = n,
                                     .k = k,
                                     .a = x.data(),
                                     .a_stride = k,
                                     .w = layer.weight.data(),
                                     .bias = layer.bias.data(),
                                     .multipliers = multipliers.data(),
                                     .a_zero_point = layer.input.zero_point};
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(2 * rows * n));
      kernels::qu8_qc8w_gemm_reference(operands, output_range(layer.output, layer.clamp),
                                       bytes.data(), n);
      operands.multipliers = scales.data();
      std::vector<float> floats(bytes.size());
      kernels::qu8_qc8w_f32_gemm_reference(operands, floats.data());

      const Linear to_bytes(k, n, layer.view(), isa);
      const Linear to_floats(k, n, layer.view(DType::kFloat32), isa);
      const std::array<Shape, 1> shapes = {view.shape};
      CHECK(to_bytes.output_shape(shapes) == (Shape{2, rows, n}));
      AlignedBuffer out = memory.buffer(2 * rows * n * 4);
      const TensorView out_view = dense_view({2, rows, n}, out.data());
      run_every_way(to_bytes, view, out_view, {},
                    [&] { CHECK(std::memcmp(out.data(), bytes.data(), bytes.size()) == 0); });
      run_every_way(to_floats, view, out_view, {},
                    [&] { CHECK(std::memcmp(out.data(), floats.data(), floats.size() * 4) == 0); });
    }
  }
}

TEST(rows_are_quantized_by_the_range_of_their_values_and_zero) {
  const auto quantization = [](std::vector<float> row) { return quantization_of(row); };
  CHECK_EQUAL(quantization({0.0F, 255.0F}).scale, 1.0F);
  CHECK_EQUAL(quantization({0.0F, 255.0F}).zero_point, 0);
  CHECK_EQUAL(quantization({-255.0F, -1.0F}).zero_point, 255);
  CHECK_EQUAL(quantization({-1.0F, 3.0F}).zero_point, 64);
  CHECK_EQUAL(quantization({0.0F}).scale, 1.0F);
  std::vector<float> row(33, 1.0F);
  row[32] = std::nanf("");
  row[20] = -1.0F;
  CHECK_EQUAL(quantization(row).scale, 2.0F / 255.0F);
}

TEST(dynamic_linear_layers_quantize_each_row_by_itself) {
  for (const Isa isa : available_isas()) {
    test::Random random(2);
    constexpr Index kRows = 23;
    constexpr Index kFeatures = 45;
    constexpr Index kOutputs = 37;
    const Layer layer(kOutputs, kFeatures, random);
    const auto bias = random.values<float>(kOutputs, -9, 9);
    std::vector<float> x = random.values<float>(kRows * kFeatures, -1000, 1000);
    for (Index i = 0; i < kFeatures; ++i) x[static_cast<std::size_t>(i)] = 0.0F;
    std::vector<kernels::RowQuantization> rows;
    std::vector<std::uint8_t> quantized;
    for (Index i = 0; i < kRows; ++i) {
      const std::span<const float> row(x.data() + i * kFeatures, kFeatures);
      rows.push_back(quantization_of(row));
      const Quantization own{rows.back().scale, rows.back().zero_point};
      for (const float value : row) {
        quantized.push_back(kernels::round_and_clamp(value / own.scale, output_range(own, {})));
      }
    }
    const std::vector<std::int32_t> no_bias(kOutputs, 0);
    std::vector<float> expected(kRows * kOutputs);
    kernels::qu8_qc8w_f32_gemm_of_scaled_rows_reference({.m = kRows,
                                                         .n = kOutputs,
                                                         .k = kFeatures,
                                                         .a = quantized.data(),
                                                         .a_stride = kFeatures,
                                                         .w = layer.weight.data(),
                                                         .bias = no_bias.data(),
                                                         .multipliers = layer.weight_scale.data(),
                                                         .a_zero_point = 0},
                                                        rows.data(), bias.data(), expected.data());
    test::FencedMemory memory;
    AlignedBuffer input;
    const TensorView view = copy_of({kRows, kFeatures}, x, memory, input);
    AlignedBuffer out = memory.buffer(kRows * kOutputs * 4);
    const DynamicLinear op(kFeatures, kOutputs, {layer.weight, layer.weight_scale, bias}, isa);
    test::set_context(name_of(isa));
    run_every_way(op, view, dense_view({kRows, kOutputs}, out.data()), {}, [&] {
      CHECK(std::memcmp(out.data(), expected.data(), expected.size() * 4) == 0);
    });
  }
}

struct Case {
  Index images, height, width;
  Conv2dGeometry geometry;
  Index gap;
  bool has_border;
};

const std::array<Case, 10> kCases = {{
    {1, 9, 14, {16, 40, 1, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}}, 0, true},
    {2, 9, 14, {16, 40, 1, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}}, 0, false},
    {2, 7, 7, {12, 17, 1, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}}, 4, true},
    {2, 7, 7, {5, 33, 1, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}}, 3, true},
    {3, 12, 11, {3, 32, 1, {.kernel = {7, 7}, .stride = {2, 2}, .padding = {3, 3, 3, 3}}}, 0, true},
    {1, 12, 11, {3, 8, 1, {.kernel = {3, 2}, .stride = {2, 1}, .padding = {0, 1, 1, 0}}}, 0, false},
    {2, 8, 8, {20, 65, 1, {.stride = {2, 2}}}, 0, true},
    {3, 5, 5, {20, 48, 1, {}}, 8, true},
    {1,
     13,
     13,
     {8, 8, 1, {.kernel = {3, 3}, .padding = {2, 2, 2, 2}, .dilation = {2, 2}}},
     0,
     true},
    {2, 6, 9, {12, 18, 3, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}}, 5, true},
}};

TEST(convolutions_read_images_with_and_without_borders_and_gaps) {
  for (const Isa isa : available_isas()) {
    test::Random random(3);
    int number = 0;
    for (const Case& sample : kCases) {
      test::set_context(name_of(isa), "case", number++);
      const Conv2dGeometry& geometry = sample.geometry;
      const Index channels = geometry.in_channels / geometry.groups;
      const Layer layer(geometry.out_channels, channels * geometry.window.taps(), random);
      const auto& pad = geometry.window.padding;
      const Border border =
          sample.has_border ? Border{pad[0] + 1, pad[1], pad[2], pad[3] + 2} : Border{};
      const Image x({sample.images, geometry.in_channels, sample.height, sample.width}, sample.gap,
                    border, static_cast<std::uint8_t>(layer.input.zero_point));
      x.fill_with(random);
      const Conv2d op(geometry, layer.view(), isa);
      const std::array<Shape, 1> shapes = {x.view.shape};
      const Image out(op.output_shape(shapes), sample.gap, {1, 0, 0, 1}, test::kPoison);
      const auto expected = ConvolutionReference(x, geometry, layer).outputs();
      run_every_way(op, x.view, out.view, {}, [&] { out.expect_values_alone(expected); });
    }
  }
}

TEST(a_fused_convolution_gives_the_bytes_of_the_steps_one_by_one) {
  for (const Isa isa : available_isas()) {
    test::Random random(4);
    const Conv2dGeometry geometry{16, 40, 1, {.kernel = {3, 3}, .padding = {1, 1, 1, 1}}};
    const Layer layer(40, 144, random);
    const Image x({2, 16, 7, 9}, 0, {}, 0);
    x.fill_with(random);
    const Image addend({2, 40, 7, 9}, 3, {1, 1, 1, 1}, 0);
    addend.fill_with(random);
    const auto values = random.values<std::uint8_t>(256, 0, 255);
    const Lookup lookup(values, isa);
    const Add add(layer.output, {0.2F, 100}, {0.25F, 50}, {60, 255}, isa);
    const Add swapped({0.2F, 100}, layer.output, {0.25F, 50}, {60, 255}, isa);
    const Conv2d op(geometry, layer.view(), isa);
    const Image out({2, 40, 7, 9}, 0, {}, test::kPoison);
    const std::vector<std::uint8_t> own = ConvolutionReference(x, geometry, layer).outputs();
    std::vector<std::uint8_t> sums;
    addend.for_each([&](Index i, Index o, Index y, Index at) {
      const std::uint8_t* other = addend.view.pixel(i, y, at) + o;
      std::uint8_t sum = 0;
      kernels::qu8_add_portable({.rows = 1,
                                 .count = 1,
                                 .lhs = &own[sums.size()],
                                 .lhs_stride = 1,
                                 .rhs = other,
                                 .rhs_stride = 1,
                                 .out = &sum,
                                 .out_stride = 1},
                                add.scales());
      sums.push_back(sum);
    });
    std::vector<std::uint8_t> looked_up;
    for (const std::uint8_t value : own) looked_up.push_back(values[value]);
    const auto check = [&](const Epilogue& epilogue, const std::vector<std::uint8_t>& expected) {
      CHECK(op.can_fuse(epilogue));
      run_every_way(op, x.view, out.view, epilogue, [&] { out.expect_values_alone(expected); });
    };
    test::set_context(name_of(isa), "add");
    check({.add = &add, .addend = addend.view}, sums);
    check({.add = &swapped, .addend = addend.view, .is_addend_first = true}, sums);
    test::set_context(name_of(isa), "lookup");
    check({.lookup = &lookup, .addend = {}}, looked_up);
    CHECK(!op.can_fuse({.lookup = &lookup, .add = &add, .addend = {}}));
  }
}

}  // namespace
}  // namespace smidgen::ops
