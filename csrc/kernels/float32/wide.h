#pragma once

namespace smidgen::kernels {

// Functions that smidgen.functional.elementary computes in float64 and rounds once at the end. They
// are rare, and one plain implementation serves every instruction set.

float sine(float x) noexcept;
float cosine(float x) noexcept;
float power(float base, float exponent) noexcept;

}  // namespace smidgen::kernels
