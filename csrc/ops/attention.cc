#include "ops/attention.h"

#include <algorithm>

#include "base/aligned_buffer.h"
#include "base/error.h"
#include "base/partition.h"
#include "kernels/attention/pack.h"
#include "kernels/select.h"

namespace smidgen::ops {
namespace {

constexpr Index kLargestProduct = 255 * 255;
constexpr Index kAccumulatorLimit = Index{1} << 31U;

/// Where the parts of a thread's scratch memory begin.
struct Scratch {
  Index packed_keys = 0;
  Index key_terms;
  Index packed_values;
  Index scores;
  Index weights;
  Index end;

  Scratch(Index tokens, Index features) {
    const Index pitch = round_up(tokens, kernels::kAttentionTokens);
    key_terms = round_up(kernels::packed_keys_bytes(tokens, features), kAlignment);
    packed_values = key_terms + round_up(pitch * 4, kAlignment);
    scores = packed_values + round_up(kernels::packed_values_bytes(tokens, features), kAlignment);
    weights = scores + kernels::kAttentionRows * pitch * 4;
    end = weights + kernels::kAttentionRows * pitch;
  }
};

void expect(bool holds, const std::string& message) {
  if (!holds) throw TensorError(message);
}

/// Whether a mask of this shape broadcasts to [images, 1, tokens, tokens].
bool is_mask(const Shape& mask, Index images, Index tokens) {
  return mask.rank() == 4 && (mask[0] == images || mask[0] == 1) && mask[1] == 1 &&
         (mask[2] == tokens || mask[2] == 1) && mask[3] == tokens;
}

/// Where a row of a mask begins, and how far apart rows are.
struct MaskRows {
  const float* first = nullptr;
  Index stride = 0;
};

/// The mask of one image; none if it masks nothing, as the mask of a text without padding.
MaskRows mask_of(const TensorView& mask, Index image) {
  const Index tokens = mask.shape[3];
  const Index rows = mask.shape[2];
  const float* first = mask.f32() + (mask.shape[0] == 1 ? 0 : image * rows * tokens);
  const bool masks_nothing =
      std::all_of(first, first + rows * tokens, [](float x) { return x == 0.0F; });
  if (masks_nothing) return {};
  return {first, rows == 1 ? 0 : tokens};
}

}  // namespace

Attention::Attention(const AttentionSettings& settings, Isa isa)
    : settings_(settings),
      score_multiplier_(((settings.query.scale * settings.key.scale) * settings.scale) *
                        kernels::kScoreSteps),
      value_multiplier_(settings.value.scale / settings.output.scale),
      variant_(kernels::best_variant(kernels::attention_variants(), isa)) {}

Shape Attention::output_shape(std::span<const Shape> inputs) const {
  const Index features = settings_.heads * settings_.head_size;
  const Index offsets[] = {settings_.query_offset, settings_.key_offset, settings_.value_offset};
  const Index images = inputs[0][0];
  const Index tokens = inputs[0][1];
  for (std::size_t i = 0; i < 3; ++i) {
    expect_rank(inputs[i], 3);
    expect(inputs[i][0] == images && inputs[i][1] == tokens,
           "attention reads " + inputs[0].to_string() + " and " + inputs[i].to_string());
    expect(inputs[i][2] >= offsets[i] + features,
           "attention reads " + std::to_string(features) + " features of " + inputs[i].to_string());
  }
  expect(!settings_.has_mask || is_mask(inputs[3], images, tokens),
         "attention over " + std::to_string(tokens) + " tokens has a mask of another shape");
  expect(tokens * kLargestProduct < kAccumulatorLimit,
         "attention over " + std::to_string(tokens) + " tokens does not fit 32 bits");
  return Shape{images, tokens, features};
}

Index Attention::work(std::span<const Shape> inputs) const {
  const Index pairs = saturating_product(inputs[0][0], inputs[0][1] * inputs[0][1]);
  return saturating_product(pairs, settings_.heads * (2 * settings_.head_size + 32));
}

Index Attention::scratch_bytes(std::span<const Shape> inputs) const {
  return Scratch(inputs[0][1], settings_.head_size).end;
}

kernels::AttentionRows Attention::pack_head(const Invocation& invocation, Index image,
                                            Index head) const {
  const Index tokens = invocation.output.shape[1];
  const Index size = settings_.head_size;
  const Scratch at(tokens, size);
  std::byte* scratch = invocation.scratch;
  const auto view = [&](std::size_t input, Index offset) {
    const Index width = invocation.inputs[input].shape[2];
    const std::uint8_t* data =
        invocation.inputs[input].u8() + image * tokens * width + offset + head * size;
    return kernels::HeadView{data, width, tokens, size};
  };
  auto* keys = reinterpret_cast<std::int8_t*>(scratch + at.packed_keys);
  auto* terms = reinterpret_cast<std::int32_t*>(scratch + at.key_terms);
  auto* values = reinterpret_cast<std::int8_t*>(scratch + at.packed_values);
  variant_.pack_keys(view(1, settings_.key_offset), settings_.query.zero_point, keys, terms);
  variant_.pack_values(view(2, settings_.value_offset), values);
  const kernels::HeadView queries = view(0, settings_.query_offset);
  const Index width = invocation.output.shape[2];
  return {.rows = 0,
          .keys = tokens,
          .depth_groups = ceil_div(size, 4),
          .values = size,
          .queries = queries.data,
          .query_stride = queries.stride,
          .packed_keys = keys,
          .key_terms = terms,
          .packed_values = values,
          .value_term = 128 - settings_.value.zero_point,
          .score_multiplier = score_multiplier_,
          .value_multiplier = value_multiplier_,
          .mask = nullptr,
          .mask_stride = 0,
          .scores = reinterpret_cast<float*>(scratch + at.scores),
          .weights = reinterpret_cast<std::uint8_t*>(scratch + at.weights),
          .out = invocation.output.u8() + image * tokens * width + head * size,
          .out_stride = width,
          .range = output_range(settings_.output, {})};
}

void Attention::run(const Invocation& invocation) const noexcept {
  const Index tokens = invocation.output.shape[1];
  const Index blocks = ceil_div(tokens, kernels::kAttentionRows);
  const Index units = invocation.output.shape[0] * settings_.heads * blocks;
  const Range mine = partition(units, 1, invocation.part, invocation.parts);
  MaskRows mask;
  Index masked_image = -1;
  for (Index unit = mine.begin; unit < mine.end;) {
    const Index head = unit / blocks;
    const Index image = head / settings_.heads;
    const Index end = std::min(mine.end, (head + 1) * blocks);
    if (settings_.has_mask && image != masked_image) {
      mask = mask_of(invocation.inputs[3], image);
      masked_image = image;
    }
    kernels::AttentionRows rows = pack_head(invocation, image, head % settings_.heads);
    const Index row = unit % blocks * kernels::kAttentionRows;
    rows.rows = std::min((end - unit) * kernels::kAttentionRows, tokens - row);
    rows.queries += row * rows.query_stride;
    rows.out += row * rows.out_stride;
    rows.mask = mask.first == nullptr ? nullptr : mask.first + row * mask.stride;
    rows.mask_stride = mask.stride;
    variant_.kernel(rows);
    unit = end;
  }
}

}  // namespace smidgen::ops
