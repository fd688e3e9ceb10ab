#include "engine/prepare.h"

#include "base/error.h"
#include "ops/add.h"
#include "ops/concat.h"
#include "ops/conv2d.h"
#include "ops/depthwise_conv2d.h"
#include "ops/linear.h"
#include "ops/lookup.h"
#include "ops/multiply.h"
#include "ops/pool.h"
#include "ops/quantize.h"
#include "ops/reshape.h"

namespace smidgen::engine {
namespace {

using Prepared = std::unique_ptr<ops::Operator>;

class Preparer {
 public:
  Preparer(const Program& program, Isa isa) : program_(program), isa_(isa) {}

  Prepared operator()(const Quantize& step) const {
    return std::make_unique<ops::Quantize>(quantization(step.output), isa_);
  }

  Prepared operator()(const Dequantize& step) const {
    return std::make_unique<ops::Dequantize>(quantization(step.input), isa_);
  }

  Prepared operator()(const Conv2d& step) const {
    const Shape& weight = constant(step.weight).shape;
    ops::Window window = step.window;
    window.kernel = {weight[2], weight[3]};
    if (weight[1] == 1 && weight[0] == step.groups) {
      return std::make_unique<ops::DepthwiseConv2d>(step.groups, window, layer(step), isa_);
    }
    const ops::Conv2dGeometry geometry{weight[1] * step.groups, weight[0], step.groups, window};
    return std::make_unique<ops::Conv2d>(geometry, layer(step), isa_);
  }

  Prepared operator()(const Linear& step) const {
    const Shape& weight = constant(step.weight).shape;
    return std::make_unique<ops::Linear>(weight[1], weight[0], layer(step), isa_);
  }

  Prepared operator()(const Add& step) const {
    return std::make_unique<ops::Add>(quantization(step.lhs), quantization(step.rhs),
                                      quantization(step.output), step.clamp, isa_);
  }

  Prepared operator()(const Multiply& step) const {
    return std::make_unique<ops::Multiply>(quantization(step.lhs), quantization(step.rhs),
                                           quantization(step.output), step.clamp, isa_);
  }

  Prepared operator()(const AveragePool2d& step) const {
    const ops::AveragePoolSettings settings{step.window,
                                            step.is_global,
                                            step.count_include_pad,
                                            quantization(step.input),
                                            quantization(step.output),
                                            step.clamp};
    return std::make_unique<ops::AveragePool2d>(settings, isa_);
  }

  Prepared operator()(const MaxPool2d& step) const {
    return std::make_unique<ops::MaxPool2d>(step.window, isa_);
  }

  Prepared operator()(const Concat& /*step*/) const { return std::make_unique<ops::Concat>(); }

  Prepared operator()(const Lookup& step) const {
    return std::make_unique<ops::Lookup>(constant(step.table).values<std::uint8_t>(), isa_);
  }

  Prepared operator()(const Reshape& step) const {
    return std::make_unique<ops::Reshape>(step.shape, tensor(step.input).dtype);
  }

 private:
  const TensorInfo& tensor(int index) const {
    return program_.tensors[static_cast<std::size_t>(index)];
  }
  const Constant& constant(int index) const {
    return program_.constants[static_cast<std::size_t>(index)];
  }
  const ops::Quantization& quantization(int index) const { return tensor(index).quantization; }

  template <typename Weighted>
  ops::WeightedLayer layer(const Weighted& step) const {
    return {constant(step.weight).template values<std::int8_t>(),
            constant(step.weight_scale).template values<float>(),
            constant(step.bias).template values<std::int32_t>(),
            quantization(step.input),
            quantization(step.output),
            step.clamp};
  }

  const Program& program_;
  Isa isa_;
};

}  // namespace

std::unique_ptr<ops::Operator> prepare(const Program& program, const Step& step, Isa isa) {
  return std::visit(Preparer(program, isa), step);
}

}  // namespace smidgen::engine
