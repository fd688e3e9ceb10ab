#include "ops/cast.h"

#include <limits>
#include <type_traits>

#include "base/aligned_buffer.h"
#include "base/partition.h"

namespace smidgen::ops {
namespace {

enum class Bool : std::uint8_t { kFalse, kTrue };

template <typename To, typename From>
To convert(From value) {
  if constexpr (std::is_same_v<From, To>) {
    return value;
  } else if constexpr (std::is_same_v<To, Bool>) {
    return value != From{0} ? Bool::kTrue : Bool::kFalse;
  } else if constexpr (std::is_same_v<From, Bool>) {
    return value == Bool::kFalse ? To{0} : To{1};
  } else if constexpr (std::is_same_v<From, float>) {
    constexpr float kBound = 0x1p+63F;
    if (value != value) return 0;
    if (value >= kBound) return std::numeric_limits<To>::max();
    return value <= -kBound ? std::numeric_limits<To>::min() : static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

template <typename From, typename To>
void convert_all(const Invocation& invocation) {
  const auto* x = reinterpret_cast<const From*>(invocation.inputs[0].data);
  auto* out = reinterpret_cast<To*>(invocation.output.data);
  const Range mine = partition(invocation.output.shape.element_count(), kAlignment, invocation.part,
                               invocation.parts);
  for (Index i = mine.begin; i < mine.end; ++i) out[i] = convert<To>(x[i]);
}

template <typename From>
void convert_from(const Invocation& invocation, DType to) {
  if (to == DType::kFloat32) {
    convert_all<From, float>(invocation);
  } else if (to == DType::kInt64) {
    convert_all<From, std::int64_t>(invocation);
  } else {
    convert_all<From, Bool>(invocation);
  }
}

}  // namespace

Index Cast::work(std::span<const Shape> inputs) const {
  return saturating_product(inputs[0].element_count(), 8);
}

void Cast::run(const Invocation& invocation) const noexcept {
  if (from_ == DType::kFloat32) {
    convert_from<float>(invocation, to_);
  } else if (from_ == DType::kInt64) {
    convert_from<std::int64_t>(invocation, to_);
  } else {
    convert_from<Bool>(invocation, to_);
  }
}

}  // namespace smidgen::ops
