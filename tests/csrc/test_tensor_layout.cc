#include <algorithm>
#include <vector>

#include "check.h"
#include "engine/tensor_layout.h"

namespace smidgen::engine {
namespace {

constexpr std::uint8_t kUntouched = 0xA5;
constexpr std::uint8_t kZeroPoint = 7;

struct Pixel {
  Index image;
  Index y;
  Index x;
};

/// All pixels of a tensor, its border among them.
std::vector<Pixel> pixels_with_border(const ops::TensorView& view) {
  std::vector<Pixel> pixels;
  for (Index image = 0; image < view.shape[0]; ++image) {
    for (Index y = -view.border.top; y < view.shape[2] + view.border.bottom; ++y) {
      for (Index x = -view.border.left; x < view.shape[3] + view.border.right; ++x) {
        pixels.push_back({image, y, x});
      }
    }
  }
  return pixels;
}

bool is_inside(const ops::TensorView& view, const Pixel& pixel) {
  return pixel.y >= 0 && pixel.y < view.shape[2] && pixel.x >= 0 && pixel.x < view.shape[3];
}

void check_border(const Shape& shape, const ops::Border& border, int parts) {
  const TensorLayout layout = lay_out(shape, DType::kUInt8, border);
  std::vector<std::uint8_t> block(static_cast<std::size_t>(layout.bytes), kUntouched);
  const ops::TensorView view = view_of(layout, shape, reinterpret_cast<std::byte*>(block.data()));
  for (int part = 0; part < parts; ++part) fill_border(view, kZeroPoint, part, parts);
  const std::uint8_t* const end = block.data() + block.size();
  for (const Pixel& pixel : pixels_with_border(view)) {
    const std::uint8_t* const first = view.pixel(pixel.image, pixel.y, pixel.x);
    CHECK(first >= block.data() && first + shape[1] <= end);
    const std::uint8_t expected = is_inside(view, pixel) ? kUntouched : kZeroPoint;
    CHECK_EQUAL(std::count(first, first + shape[1], expected), shape[1]);
  }
  // The tensor's own values are all that nobody filled.
  CHECK_EQUAL(std::ranges::count(block, kUntouched), shape.element_count());
}

TEST(a_border_is_filled_and_nothing_else) {
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{2, 3, 4, 5}, Shape{3, 16, 1, 7}}) {
    for (const ops::Border& border :
         {ops::Border{}, ops::Border{1, 1, 1, 1}, ops::Border{0, 1, 1, 0}, ops::Border{3, 0, 1, 2},
          ops::Border{0, 0, 2, 0}, ops::Border{0, 3, 0, 3}}) {
      for (const int parts : {1, 2, 3, 7}) {
        test::set_context(shape.to_string(), border.top, border.left, border.bottom, border.right,
                          "parts", parts);
        check_border(shape, border, parts);
      }
    }
  }
}

TEST(without_a_border_a_tensor_is_dense) {
  const Shape shape{2, 5, 3, 4};
  const TensorLayout layout = lay_out(shape, DType::kUInt8, {});
  CHECK_EQUAL(layout.bytes, shape.element_count());
  CHECK(view_of(layout, shape, nullptr).is_dense());
}

TEST(neighbours_share_their_borders) {
  const TensorLayout layout = lay_out({2, 10, 4, 6}, DType::kUInt8, {1, 2, 1, 1});
  CHECK_EQUAL(layout.row_pitch, (6 + 2) * 10);
  CHECK_EQUAL(layout.image_pitch, (4 + 1) * layout.row_pitch);
}

TEST(borders_of_absurd_size_do_not_overflow) {
  const Index huge = Index{1} << 62;
  CHECK(lay_out({1, 1 << 20, 3, 3}, DType::kUInt8, {huge, huge, huge, huge}).bytes >= huge);
}

TEST(only_tensors_with_pixels_have_borders) {
  CHECK_EQUAL(lay_out({4, 5}, DType::kUInt8, {1, 1, 1, 1}).bytes, 20);
  CHECK_EQUAL(lay_out({1, 2, 3, 4}, DType::kFloat32, {1, 1, 1, 1}).bytes, 96);
}

}  // namespace
}  // namespace smidgen::engine
