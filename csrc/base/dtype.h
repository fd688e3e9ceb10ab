#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace smidgen {

/// Element type of a tensor or constant.
enum class DType : std::uint8_t { kUInt8, kInt8, kInt32, kInt64, kFloat32, kBool };

constexpr std::ptrdiff_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kInt64:
      return 8;
    case DType::kInt32:
    case DType::kFloat32:
      return 4;
    case DType::kUInt8:
    case DType::kInt8:
    case DType::kBool:
      return 1;
  }
  return 1;
}

constexpr std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kUInt8:
      return "uint8";
    case DType::kInt8:
      return "int8";
    case DType::kInt32:
      return "int32";
    case DType::kInt64:
      return "int64";
    case DType::kFloat32:
      return "float32";
    case DType::kBool:
      return "bool";
  }
  return "unknown";
}

}  // namespace smidgen
