#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace smidgen {

/// Instruction sets, each above the former in preference.
enum class Isa : std::uint8_t { kPortable, kAvx2, kAvxVnni, kAvx512Vnni, kAvx512Vbmi, kAmx };

/// The levels at which an engine runs. Avx512Vbmi is none of its own: its few kernels serve the
/// levels from avx512vnni on where the CPU has them. Level amx is avx512vnni with tiles of int8 for
/// matrix products.
inline constexpr std::array kIsas = {Isa::kPortable, Isa::kAvx2, Isa::kAvxVnni, Isa::kAvx512Vnni,
                                     Isa::kAmx};

std::string_view name_of(Isa isa);

/// Tells whether this CPU and operating system, and this build, can run the level.
bool cpu_has(Isa isa);

/// The levels that this machine can run, in ascending order; portable is always among them.
std::vector<Isa> available_isas();

/// Picks the level to run: `requested` if given, else `cap` (the value of SMIDGEN_ISA) if given and
/// not empty, else the highest available. Throws EngineError if the name is unknown or the CPU
/// lacks the level.
Isa choose_isa(std::optional<std::string_view> requested, std::optional<std::string_view> cap);

/// Tells whether a kernel of level `row` may serve an engine of level `level` on this machine. A
/// CPU with AVX-512 VNNI may lack AVX-VNNI, so being lower is not enough.
bool serves(Isa row, Isa level);

}  // namespace smidgen
