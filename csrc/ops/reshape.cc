#include "ops/reshape.h"

#include <algorithm>

#include "base/error.h"
#include "ops/layout.h"

namespace smidgen::ops {
namespace {

TensorError no_fit(const Shape& input, const std::vector<Index>& target) {
  return TensorError("shape " + input.to_string() + " cannot become " +
                     Shape(std::span<const Index>(target)).to_string());
}

}  // namespace

Reshape::Reshape(std::vector<Index> target, DType dtype, Isa isa)
    : target_(std::move(target)), dtype_(dtype), isa_(isa) {
  const bool is_extent = std::ranges::all_of(target_, [](Index extent) { return extent >= -1; });
  if (!is_extent || std::ranges::count(target_, -1) > 1 || target_.size() > kMaxRank) {
    throw ProgramError("a shape must have extents, 0, or -1 at most once, at most " +
                       std::to_string(kMaxRank) + " in all");
  }
}

Shape Reshape::output_shape(std::span<const Shape> inputs) const {
  const Shape& input = inputs[0];
  std::vector<Index> extents = target_;
  for (std::size_t axis = 0; axis < extents.size(); ++axis) {
    if (extents[axis] != 0) continue;
    if (static_cast<int>(axis) >= input.rank()) throw no_fit(input, target_);
    extents[axis] = input[static_cast<int>(axis)];
  }
  const Index count = input.element_count();
  const auto inferred = std::ranges::find(extents, -1);
  if (inferred != extents.end()) {
    *inferred = 1;
    *inferred = count / Shape(std::span<const Index>(extents)).element_count();
  }
  const Shape output{std::span<const Index>(extents)};
  if (count < 1 || std::ranges::find(extents, 0) != extents.end() ||
      output.element_count() != count) {
    throw no_fit(input, target_);
  }
  return output;
}

Index Reshape::work(std::span<const Shape> inputs) const {
  (void)inputs;
  return 0;  // one thread does it
}

bool Reshape::has_pixels(const Shape& shape) const {
  return dtype_ == DType::kUInt8 && shape.rank() == 4;
}

Index Reshape::scratch_bytes(std::span<const Shape> inputs) const {
  const bool both = has_pixels(inputs[0]) && has_pixels(output_shape(inputs));
  return both ? inputs[0].element_count() : 0;
}

void Reshape::run(const Invocation& invocation) const noexcept {
  const TensorView& x = invocation.inputs[0];
  const TensorView& out = invocation.output;
  if (!has_pixels(x.shape)) {
    from_logical(x.data, dtype_, out, isa_);
  } else if (!has_pixels(out.shape)) {
    to_logical(x, dtype_, out.data, isa_);
  } else {
    to_logical(x, dtype_, invocation.scratch, isa_);
    from_logical(invocation.scratch, dtype_, out, isa_);
  }
}

}  // namespace smidgen::ops
