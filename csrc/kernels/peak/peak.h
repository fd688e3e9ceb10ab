#pragma once

#include <cstddef>
#include <cstdint>

// As many dot products of bytes as a core can do, and nothing else: the most that any kernel of the
// instruction set could reach.

namespace smidgen::kernels {

inline constexpr int kPeakChains = 12;  // independent sums, enough to hide the latency of one
inline constexpr int kPeakSums = 256;   // a tile of them, or kPeakChains vectors

/// Does `rounds` times kPeakChains dot products and writes sums, at most kPeakSums, so that none
/// can be left out.
using PeakKernel = void (*)(std::ptrdiff_t rounds, std::int32_t* sums) noexcept;

void u8_s8_peak_avx2(std::ptrdiff_t rounds, std::int32_t* sums) noexcept;
void u8_s8_peak_avxvnni(std::ptrdiff_t rounds, std::int32_t* sums) noexcept;
void u8_s8_peak_avx512vnni(std::ptrdiff_t rounds, std::int32_t* sums) noexcept;
void u8_s8_peak_amx(std::ptrdiff_t rounds, std::int32_t* sums) noexcept;

}  // namespace smidgen::kernels
