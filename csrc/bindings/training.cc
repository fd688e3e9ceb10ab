#include "bindings/training.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cstdlib>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/error.h"
#include "ops/fake_quantize.h"

namespace py = pybind11;

namespace smidgen::bindings {
namespace {

using ops::FakeQuantizer;

using Floats = py::array_t<float, py::array::c_style>;
using Bytes = py::array_t<std::uint8_t, py::array::c_style>;

template <typename T>
std::span<const T> values_of(const py::array_t<T, py::array::c_style>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

template <typename T>
std::span<T> writable(py::array_t<T, py::array::c_style>& array) {
  return {array.mutable_data(), static_cast<std::size_t>(array.size())};
}

void check_count(const char* name, py::ssize_t found, Index expected) {
  if (found == expected) return;
  throw EngineError(std::string(name) + " has " + std::to_string(found) + " elements, expected " +
                        std::to_string(expected),
                    "ARRAY_SIZE_MISMATCH");
}

void check_threads(int threads) {
  if (threads >= 1) return;
  throw EngineError("threads is " + std::to_string(threads) + ", expected 1 or more",
                    "INVALID_THREADS");
}

/// Length of each row of an array [rows, ...].
Index row_length(const Floats& array, py::ssize_t rows) {
  const bool is_matrix = array.ndim() > 0 && array.shape(0) == rows && array.size() > 0;
  if (!is_matrix) {
    throw EngineError("an array has no values for each of " + std::to_string(rows) + " rows",
                      "ARRAY_SIZE_MISMATCH");
  }
  return array.size() / rows;
}

FakeQuantizer make_fake_quantizer(const std::optional<std::string>& isa) {
  const char* cap = std::getenv("SMIDGEN_ISA");
  return FakeQuantizer(
      choose_isa(isa, cap == nullptr ? std::nullopt : std::optional<std::string_view>(cap)));
}

void round(const FakeQuantizer& self, const Floats& x, float scale, float low, float high,
           float least, float most, std::optional<float> blocked, Floats& out, Bytes& bits,
           int threads) {
  check_threads(threads);
  check_count("out", out.size(), x.size());
  check_count("bits", bits.size(), ops::bit_bytes(x.size()));
  const kernels::FakeQuantizeRange range{
      scale, low, high, least, most, blocked.value_or(std::numeric_limits<float>::quiet_NaN())};
  const auto from = values_of(x);
  const auto to = writable(out);
  const auto passing = writable(bits);
  const py::gil_scoped_release released;
  self.round(from, range, to, passing, threads);
}

void round_weight(const FakeQuantizer& self, const Floats& weight,
                  const std::optional<Floats>& factors, Floats& out, Bytes& bits, Floats& scales,
                  int threads) {
  check_threads(threads);
  const py::ssize_t rows = scales.size();
  check_count("out", out.size(), weight.size());
  check_count("bits", bits.size(), rows * ops::bit_bytes(row_length(weight, rows)));
  if (factors) check_count("factors", factors->size(), rows);
  const auto from = values_of(weight);
  const auto multipliers = factors ? values_of(*factors) : std::span<const float>();
  const auto to = writable(out);
  const auto passing = writable(bits);
  const auto chosen = writable(scales);
  const py::gil_scoped_release released;
  self.round_weight(from, multipliers, to, passing, chosen, threads);
}

void pass_gradient(const FakeQuantizer& self, const Floats& gradient, const Bytes& bits,
                   Floats& out, int threads) {
  check_threads(threads);
  check_count("out", out.size(), gradient.size());
  check_count("bits", bits.size(), ops::bit_bytes(gradient.size()));
  const auto from = values_of(gradient);
  const auto passing = values_of(bits);
  const auto to = writable(out);
  const py::gil_scoped_release released;
  self.pass_gradient(from, passing, to, threads);
}

void pass_weight_gradient(const FakeQuantizer& self, const Floats& gradient, const Bytes& bits,
                          Floats& out, int threads) {
  check_threads(threads);
  const py::ssize_t rows = gradient.ndim() == 0 ? 0 : gradient.shape(0);
  check_count("out", out.size(), gradient.size());
  check_count("bits", bits.size(), rows * ops::bit_bytes(row_length(gradient, rows)));
  const auto from = values_of(gradient);
  const auto passing = values_of(bits);
  const auto to = writable(out);
  const py::gil_scoped_release released;
  self.pass_weight_gradient(from, rows, passing, to, threads);
}

std::pair<float, float> value_range(const FakeQuantizer& self, const Floats& x, int threads) {
  check_threads(threads);
  if (x.size() == 0) throw EngineError("an array is empty, expected values", "ARRAY_SIZE_MISMATCH");
  const auto from = values_of(x);
  const py::gil_scoped_release released;
  const kernels::ValueRange range = self.value_range(from, threads);
  return {range.low, range.high};
}

}  // namespace

void define_training(py::module_& module) {
  // Arrays are never converted: a copy would be written instead of what the caller holds.
  py::class_<FakeQuantizer>(module, "FakeQuantizer", "The kernels of fake quantization.")
      .def(py::init(&make_fake_quantizer), py::arg("isa"))
      .def("round", &round, py::arg("x").noconvert(), py::arg("scale"), py::arg("low"),
           py::arg("high"), py::arg("least"), py::arg("most"), py::arg("blocked"),
           py::arg("out").noconvert(), py::arg("bits").noconvert(), py::arg("threads"))
      .def("round_weight", &round_weight, py::arg("weight").noconvert(),
           py::arg("factors").noconvert(), py::arg("out").noconvert(), py::arg("bits").noconvert(),
           py::arg("scales").noconvert(), py::arg("threads"))
      .def("pass_gradient", &pass_gradient, py::arg("gradient").noconvert(),
           py::arg("bits").noconvert(), py::arg("out").noconvert(), py::arg("threads"))
      .def("pass_weight_gradient", &pass_weight_gradient, py::arg("gradient").noconvert(),
           py::arg("bits").noconvert(), py::arg("out").noconvert(), py::arg("threads"))
      .def("value_range", &value_range, py::arg("x").noconvert(), py::arg("threads"));
}

}  // namespace smidgen::bindings
