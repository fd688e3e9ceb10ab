#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace smidgen {

/// Element type of a tensor or constant.
enum class DType : std::uint8_t { kUInt8, kInt8, kInt32, kFloat32 };

constexpr std::ptrdiff_t size_of(DType dtype) {
  return dtype == DType::kInt32 || dtype == DType::kFloat32 ? 4 : 1;
}

constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
      return "uint8";
    case DType::kInt8:
      return "int8";
    case DType::kInt32:
      return "int32";
    case DType::kFloat32:
      return "float32";
  }
  return "unknown";
}

}  // namespace smidgen
