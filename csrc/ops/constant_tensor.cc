#include "ops/constant_tensor.h"

#include "ops/layout.h"
#include "ops/strided_loop.h"

namespace smidgen::ops {

ConstantTensor::ConstantTensor(const Shape& shape, DType dtype, std::span<const std::byte> values,
                               Isa isa)
    : buffer_(shape.element_count() * size_of(dtype)),
      view_(dense_view(shape, buffer_.data())),
      dtype_(dtype) {
  from_logical(values.data(), dtype, view_, isa);
}

Shape ConstantTensor::output_shape(std::span<const Shape> inputs) const {
  (void)inputs;
  return view_.shape;
}

Index ConstantTensor::work(std::span<const Shape> inputs) const {
  (void)inputs;
  return buffer_.size();
}

void ConstantTensor::run(const Invocation& invocation) const noexcept {
  const TensorView& out = invocation.output;
  copy_strided(view_.shape, size_of(dtype_), {view_.data, byte_strides(view_, dtype_)},
               {out.data, byte_strides(out, dtype_)}, invocation.part, invocation.parts);
}

}  // namespace smidgen::ops
