#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings/program.h"

namespace smidgen::bindings {

using engine::Program;
using ops::Clamp;

void define_quantized_steps(py::class_<Program>& program) {
  program
      .def(
          "add_quantize",
          [](Program& program, int input, int output) {
            program.steps.emplace_back(engine::Quantize{input, output});
          },
          py::arg("input"), py::arg("output"))
      .def(
          "add_dequantize",
          [](Program& program, int input, int output) {
            program.steps.emplace_back(engine::Dequantize{input, output});
          },
          py::arg("input"), py::arg("output"))
      .def(
          "add_conv2d",
          [](Program& program, int input, int output, int weight, int weight_scale, int bias,
             Pair stride, Padding padding, Pair dilation, Index groups, int qmin, int qmax) {
            program.steps.emplace_back(
                engine::Conv2d{input,
                               output,
                               weight,
                               weight_scale,
                               bias,
                               {.stride = stride, .padding = padding, .dilation = dilation},
                               groups,
                               Clamp{qmin, qmax}});
          },
          py::arg("input"), py::arg("output"), py::arg("weight"), py::arg("weight_scale"),
          py::arg("bias"), py::arg("stride"), py::arg("padding"), py::arg("dilation"),
          py::arg("groups"), py::arg("qmin"), py::arg("qmax"))
      .def(
          "add_linear",
          [](Program& program, int input, int output, int weight, int weight_scale, int bias,
             int qmin, int qmax) {
            program.steps.emplace_back(
                engine::Linear{input, output, weight, weight_scale, bias, Clamp{qmin, qmax}});
          },
          py::arg("input"), py::arg("output"), py::arg("weight"), py::arg("weight_scale"),
          py::arg("bias"), py::arg("qmin"), py::arg("qmax"))
      .def(
          "add_add",
          [](Program& program, int lhs, int rhs, int output, int qmin, int qmax) {
            program.steps.emplace_back(engine::Add{lhs, rhs, output, Clamp{qmin, qmax}});
          },
          py::arg("lhs"), py::arg("rhs"), py::arg("output"), py::arg("qmin"), py::arg("qmax"))
      .def(
          "add_multiply",
          [](Program& program, int lhs, int rhs, int output, int qmin, int qmax) {
            program.steps.emplace_back(engine::Multiply{lhs, rhs, output, Clamp{qmin, qmax}});
          },
          py::arg("lhs"), py::arg("rhs"), py::arg("output"), py::arg("qmin"), py::arg("qmax"))
      .def(
          "add_average_pool2d",
          [](Program& program, int input, int output, Pair kernel, Pair stride, Padding padding,
             bool count_include_pad, int qmin, int qmax) {
            program.steps.emplace_back(
                engine::AveragePool2d{input,
                                      output,
                                      {.kernel = kernel, .stride = stride, .padding = padding},
                                      false,
                                      count_include_pad,
                                      Clamp{qmin, qmax}});
          },
          py::arg("input"), py::arg("output"), py::arg("kernel"), py::arg("stride"),
          py::arg("padding"), py::arg("count_include_pad"), py::arg("qmin"), py::arg("qmax"))
      .def(
          "add_global_average_pool",
          [](Program& program, int input, int output, int qmin, int qmax) {
            program.steps.emplace_back(
                engine::AveragePool2d{input, output, {}, true, true, Clamp{qmin, qmax}});
          },
          py::arg("input"), py::arg("output"), py::arg("qmin"), py::arg("qmax"))
      .def(
          "add_max_pool2d",
          [](Program& program, int input, int output, Pair kernel, Pair stride, Padding padding,
             Pair dilation) {
            program.steps.emplace_back(
                engine::MaxPool2d{input, output, {kernel, stride, padding, dilation}});
          },
          py::arg("input"), py::arg("output"), py::arg("kernel"), py::arg("stride"),
          py::arg("padding"), py::arg("dilation"))
      .def(
          "add_lookup",
          [](Program& program, int input, int output, int table) {
            program.steps.emplace_back(engine::Lookup{input, output, table});
          },
          py::arg("input"), py::arg("output"), py::arg("table"));
}

}  // namespace smidgen::bindings
