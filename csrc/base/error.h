#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace smidgen {

/// The root of all errors thrown on purpose. `reason` is a stable UPPER_SNAKE word for programs.
class Error : public std::runtime_error {
 public:
  Error(const std::string& message, std::string reason)
      : std::runtime_error(message), reason_(std::move(reason)) {}

  const std::string& reason() const noexcept { return reason_; }

 private:
  std::string reason_;
};

/// The engine cannot run as asked; smidgen.errors.EngineError in Python.
class EngineError : public Error {
 public:
  using Error::Error;
};

/// A program breaks its rules; smidgen.errors.ProgramError in Python.
class ProgramError : public Error {
 public:
  explicit ProgramError(const std::string& message, std::string reason = "INVALID_PROGRAM")
      : Error(message, std::move(reason)) {}
};

/// An input's shape does not fit the program; smidgen.errors.InvalidTensorError in Python.
class TensorError : public Error {
 public:
  explicit TensorError(const std::string& message, std::string reason = "TENSOR_SHAPE_MISMATCH")
      : Error(message, std::move(reason)) {}
};

}  // namespace smidgen
