#include "bindings/pixels.h"

#include <pybind11/numpy.h>

#include <cstdint>
#include <span>

#include "base/error.h"
#include "ops/pixels.h"

namespace py = pybind11;

namespace smidgen::bindings {
namespace {

using Floats = py::array_t<float, py::array::c_style>;
using Bytes = py::array_t<std::uint8_t, py::array::c_style>;

/// Of pixels [height, width, channels] and a table [channels, 256].
void look_up_pixels(const Bytes& pixels, const Floats& table, bool channels_first, Floats& out) {
  const bool is_image = pixels.ndim() == 3 && pixels.shape(2) > 0;
  if (!is_image || table.ndim() != 2 || table.shape(0) != pixels.shape(2) ||
      table.shape(1) != ops::kPixelValues || out.size() != pixels.size()) {
    throw EngineError(
        "the sizes of pixels, table and samples do not belong together; expected [height, width, "
        "channels], [channels, 256] and as many samples as pixels",
        "ARRAY_SIZE_MISMATCH");
  }
  const std::span from(pixels.data(), static_cast<std::size_t>(pixels.size()));
  const std::span values(table.data(), static_cast<std::size_t>(table.size()));
  const std::span to(out.mutable_data(), static_cast<std::size_t>(out.size()));
  const Index channels = pixels.shape(2);
  const py::gil_scoped_release released;
  ops::look_up_pixels(
      from, values, channels,
      channels_first ? ops::PixelLayout::kChannelsFirst : ops::PixelLayout::kChannelsLast, to);
}

}  // namespace

void define_pixels(py::module_& module) {
  module.def("look_up_pixels", &look_up_pixels, py::arg("pixels").noconvert(),
             py::arg("table").noconvert(), py::arg("channels_first"), py::arg("out").noconvert());
}

}  // namespace smidgen::bindings
