#include "engine/placement.h"

#include <algorithm>

#include "ops/concat.h"
#include "ops/constant_tensor.h"
#include "ops/layout.h"
#include "ops/reshape.h"

namespace smidgen::engine {
namespace {

// A border may make a tensor this much larger, or any small tensor by a page or so.
constexpr Index kBorderShare = 5;  // quarters of the tensor
constexpr Index kSmallBorder = 8 * 1024;

std::size_t at(int index) { return static_cast<std::size_t>(index); }

ops::Border unite(const ops::Border& a, const ops::Border& b) {
  return {std::max(a.top, b.top), std::max(a.left, b.left), std::max(a.bottom, b.bottom),
          std::max(a.right, b.right)};
}

class Placer {
 public:
  Placer(const PreparedProgram& program, std::vector<Shape> shapes, std::vector<FusedStep>& steps,
         std::span<const int> outputs)
      : program_(program), steps_(steps), outputs_(outputs) {
    placement_.shapes = std::move(shapes);
    for (std::size_t i = 0; i < placement_.shapes.size(); ++i) {
      const auto tensor = static_cast<int>(i);
      placement_.homes.push_back({.block = tensor});
      takes_pitches_.push_back(has_pixels(tensor));
    }
    for (const FusedStep& step : steps_) {
      if (step.op->takes_pitches()) continue;
      for (const int tensor : step.reads()) takes_pitches_[at(tensor)] = false;
      takes_pitches_[at(step.output)] = false;
    }
  }

  Placement run() {
    // Backwards, so that the last of several nested concatenations holds all of them.
    for (std::size_t index = steps_.size(); index-- > 0;) {
      if (dynamic_cast<const ops::Concat*>(steps_[index].op) != nullptr) place_concat(index);
    }
    choose_borders();
    place_reshapes();
    place_constants();
    overwrite_inputs();
    for (std::size_t i = 0; i < placement_.shapes.size(); ++i) {
      placement_.layouts.push_back(
          lay_out(placement_.shapes[i], dtype(static_cast<int>(i)), borders_[i]));
    }
    return std::move(placement_);
  }

 private:
  DType dtype(int tensor) const { return program_.dtype_of(tensor); }
  const Shape& shape(int tensor) const { return placement_.shapes[at(tensor)]; }
  Home& home(int tensor) { return placement_.homes[at(tensor)]; }
  bool has_pixels(int tensor) const { return engine::has_pixels(shape(tensor), dtype(tensor)); }
  bool owns_block(int tensor) { return home(tensor).kind == Home::Kind::kBlock; }

  bool is_program_input(int tensor) const {
    return std::ranges::find(program_.inputs, tensor) != program_.inputs.end();
  }

  /// Tells whether the inputs lie side by side already, as slices of one block.
  bool are_neighbours(std::span<const int> inputs) {
    Index next = home(inputs[0]).first_channel;
    return std::ranges::all_of(inputs, [&](int input) {
      const Home& slice = home(input);
      const bool fits = slice.kind == Home::Kind::kSlice && slice.block == home(inputs[0]).block &&
                        slice.first_channel == next;
      next += shape(input)[1];
      return fits;
    });
  }

  bool can_become_slice(int tensor, const FusedStep& concat) {
    return owns_block(tensor) && takes_pitches_[at(tensor)] && !is_program_input(tensor) &&
           zero_point(tensor) == zero_point(concat.output) &&
           std::ranges::count(concat.inputs, tensor) == 1;
  }

  std::int32_t zero_point(int tensor) const {
    return program_.tensors[at(tensor)].quantization.zero_point;
  }

  /// Moves the tensor, and what already lies in its block, to where the channel `first_channel` of
  /// `owner` lies.
  void move_into(int tensor, int owner, Index first_channel) {
    const Home target = home(owner);
    for (Home& moved : placement_.homes) {
      if (moved.block != tensor) continue;
      moved = {Home::Kind::kSlice, target.block,
               target.first_channel + first_channel + moved.first_channel};
    }
  }

  void place_concat(std::size_t index) {
    const FusedStep concat = steps_[index];
    if (!takes_pitches_[at(concat.output)]) return;
    const auto position = steps_.begin() + static_cast<std::ptrdiff_t>(index);
    if (owns_block(concat.output) && are_neighbours(concat.inputs)) {
      move_into(concat.output, concat.inputs[0], 0);
      steps_.erase(position);
      return;
    }
    const auto becomes_slice = [&](int input) { return can_become_slice(input, concat); };
    if (std::ranges::none_of(concat.inputs, becomes_slice)) return;
    std::vector<FusedStep> copies;
    Index first_channel = 0;
    for (const int input : concat.inputs) {
      if (becomes_slice(input)) {
        move_into(input, concat.output, first_channel);
      } else {
        copies.push_back(copy_into_slice(concat, input, first_channel));
      }
      first_channel += shape(input)[1];
    }
    steps_.insert(steps_.erase(position), copies.begin(), copies.end());
  }

  /// A concatenation of one tensor, into a part of the output.
  FusedStep copy_into_slice(const FusedStep& concat, int input, Index first_channel) {
    const Home output = home(concat.output);
    const auto slice = static_cast<int>(placement_.shapes.size());
    placement_.shapes.push_back(Shape(shape(input)));
    placement_.homes.push_back(
        {Home::Kind::kSlice, output.block, output.first_channel + first_channel});
    return {.op = concat.op, .inputs = {input}, .output = concat.output, .slice = slice};
  }

  void choose_borders() {
    std::vector<std::vector<ops::Border>> wanted(placement_.shapes.size());
    for (const FusedStep& step : steps_) {
      for (std::size_t i = 0; i < step.inputs.size(); ++i) {
        const int block = home(step.inputs[i]).block;
        if (!takes_pitches_[at(block)]) continue;
        wanted[at(block)].push_back(step.op->wanted_border(static_cast<int>(i)));
      }
    }
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      borders_.push_back(affordable_union(placement_.shapes[i], std::move(wanted[i])));
    }
  }

  /// The union of the borders, the smallest first, as long as the tensor does not become too large.
  static ops::Border affordable_union(const Shape& shape, std::vector<ops::Border> wanted) {
    const auto bytes_with = [&](const ops::Border& border) {
      return lay_out(shape, DType::kUInt8, border).bytes;
    };
    std::ranges::stable_sort(wanted, {}, bytes_with);
    ops::Border chosen;
    const Index dense = bytes_with(chosen);
    const Index most = saturating_sum(dense, std::max(dense / 4 * kBorderShare, kSmallBorder));
    for (const ops::Border& border : wanted) {
      const ops::Border both = unite(chosen, border);
      if (bytes_with(both) <= most) chosen = both;
    }
    return chosen;
  }

  void place_reshapes() {
    std::vector<FusedStep> kept;
    for (FusedStep& step : steps_) {
      const bool is_reshape = dynamic_cast<const ops::Reshape*>(step.op) != nullptr;
      if (!is_reshape || !place_reshape(step)) kept.push_back(std::move(step));
    }
    steps_ = std::move(kept);
  }

  /// Makes the output of a reshape an alias of its input, if both lie alike.
  bool place_reshape(const FusedStep& reshape) {
    const int input = reshape.inputs[0];
    const int output = reshape.output;
    const int block = home(input).block;
    if (home(input).kind == Home::Kind::kSlice || !owns_block(output) ||
        borders_[at(block)] != ops::Border{} || borders_[at(output)] != ops::Border{} ||
        !ops::lie_alike(shape(input), shape(output), dtype(input))) {
      return false;
    }
    home(output) = {Home::Kind::kAlias, block};
    return true;
  }

  /// Drops the steps that would copy a constant which lies as its readers want it.
  void place_constants() {
    placement_.constants.resize(placement_.homes.size(), nullptr);
    std::erase_if(steps_, [&](const FusedStep& step) {
      const auto* constant = dynamic_cast<const ops::ConstantTensor*>(step.op);
      if (constant == nullptr || !owns_block(step.output) || step.slice >= 0) return false;
      if (borders_[at(step.output)] != ops::Border{}) return false;
      placement_.constants[at(step.output)] = constant->view().data;
      return true;
    });
  }

  /// Lets steps that can do so write over what nothing reads any more: fewer lines of the cache
  /// come and go.
  void overwrite_inputs() {
    std::vector<std::size_t> last_uses = last_uses_of_blocks();
    for (std::size_t index = 0; index < steps_.size(); ++index) {
      const FusedStep& step = steps_[index];
      const int block = home(step.inputs.empty() ? step.output : step.inputs[0]).block;
      if (!step.op->can_overwrite_input() || last_uses[at(block)] != index) continue;
      if (!owns_block(step.output) || home(step.inputs[0]).kind == Home::Kind::kSlice) continue;
      for (Home& moved : placement_.homes) {
        if (moved.block == step.output) moved = {Home::Kind::kAlias, block};
      }
      last_uses[at(block)] = last_uses[at(step.output)];
    }
  }

  /// The last step that reads each block; none for constants and the caller's tensors.
  std::vector<std::size_t> last_uses_of_blocks() {
    std::vector<std::size_t> last_uses(placement_.homes.size(), 0);
    for (std::size_t index = 0; index < steps_.size(); ++index) {
      for (const int tensor : steps_[index].reads()) last_uses[at(home(tensor).block)] = index;
    }
    const auto keep = [&](int tensor) { last_uses[at(home(tensor).block)] = steps_.size(); };
    for (std::size_t i = 0; i < last_uses.size(); ++i) {
      if (placement_.constants[i] != nullptr) last_uses[i] = steps_.size();
    }
    std::ranges::for_each(outputs_, keep);
    std::ranges::for_each(program_.inputs, keep);
    return last_uses;
  }

  const PreparedProgram& program_;
  std::vector<FusedStep>& steps_;
  std::span<const int> outputs_;
  std::vector<bool> takes_pitches_;  // of tensors of the program: whether all that touch it do
  std::vector<ops::Border> borders_;
  Placement placement_;
};

}  // namespace

ops::TensorView Placement::view(int tensor, std::byte* block) const {
  const Home& home = homes[at(tensor)];
  if (home.kind == Home::Kind::kAlias) return ops::dense_view(shapes[at(tensor)], block);
  ops::TensorView tensor_view = view_of(layouts[at(home.block)], shapes[at(tensor)], block);
  tensor_view.data += home.first_channel;
  return tensor_view;
}

Placement place(const PreparedProgram& program, std::vector<Shape> shapes,
                std::vector<FusedStep>& steps, std::span<const int> outputs) {
  return Placer(program, std::move(shapes), steps, outputs).run();
}

}  // namespace smidgen::engine
