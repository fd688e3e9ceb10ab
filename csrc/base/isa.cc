#include "base/isa.h"

#include <string>

#include "base/error.h"

#if SMIDGEN_X86
#include <cpuid.h>
#endif
#if SMIDGEN_X86 && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace smidgen {
namespace {

struct Features {
  bool avx2 = false;
  bool avx_vnni = false;
  bool avx512_vnni = false;
  bool avx512_vbmi = false;
  bool amx = false;
};

#if SMIDGEN_X86

constexpr bool has_bit(std::uint32_t word, int position) { return (word >> position & 1U) != 0; }

struct Registers {
  std::uint32_t a, b, c, d;
};

Registers cpuid(std::uint32_t leaf, std::uint32_t subleaf) {
  Registers r{};
  // Zeros where the leaf is beyond what the CPU reports.
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

/// XCR0, the register states that the operating system saves. Needs OSXSAVE.
std::uint32_t extended_states() {
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

/// Asks the system to keep tile registers for this process's threads, which it does on request
/// only (Linux: Documentation/arch/x86/xstate.rst). The request is refused where a thread's
/// alternative signal stack is too small for them.
bool is_allowed_tiles() {
#if defined(__linux__)
  constexpr long kRequestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long kTileData = 18;               // XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

Features detect() {
  constexpr std::uint32_t kYmmStates = 0x06;
  constexpr std::uint32_t kZmmStates = 0xE6;
  constexpr std::uint32_t kTileStates = 0x60000;
  const Registers leaf1 = cpuid(1, 0);
  if (!has_bit(leaf1.c, 27)) return {};  // OSXSAVE
  const std::uint32_t states = extended_states();
  const Registers leaf7 = cpuid(7, 0);
  const Registers leaf7_1 = leaf7.a >= 1 ? cpuid(7, 1) : Registers{};

  Features features;
  const bool has_fma = has_bit(leaf1.c, 12);
  features.avx2 = (states & kYmmStates) == kYmmStates && has_fma && has_bit(leaf7.b, 5);
  features.avx_vnni = features.avx2 && has_bit(leaf7_1.a, 4);
  const bool f_dq_bw_vl =
      has_bit(leaf7.b, 16) && has_bit(leaf7.b, 17) && has_bit(leaf7.b, 30) && has_bit(leaf7.b, 31);
  features.avx512_vnni =
      features.avx2 && (states & kZmmStates) == kZmmStates && f_dq_bw_vl && has_bit(leaf7.c, 11);
  features.avx512_vbmi = features.avx512_vnni && has_bit(leaf7.c, 1);
  features.amx = features.avx512_vnni && (states & kTileStates) == kTileStates &&
                 has_bit(leaf7.d, 24) && has_bit(leaf7.d, 25) && is_allowed_tiles();
  return features;
}

#else

Features detect() { return {}; }

#endif

const Features& features() {
  static const Features detected = detect();
  return detected;
}

std::string joined_names(const std::vector<Isa>& isas) {
  std::string text;
  for (const Isa isa : isas) text += (text.empty() ? "" : ", ") + std::string(name_of(isa));
  return text;
}

Isa parse(std::string_view name) {
  for (const Isa isa : kIsas) {
    if (name_of(isa) != name) continue;
    if (cpu_has(isa)) return isa;
    throw EngineError("instruction set '" + std::string(name) +
                          "' is not available on this CPU, expected one of " +
                          joined_names(available_isas()),
                      "ISA_UNAVAILABLE");
  }
  throw EngineError("instruction set '" + std::string(name) + "' is unknown, expected one of " +
                        joined_names({kIsas.begin(), kIsas.end()}),
                    "ISA_UNKNOWN");
}

}  // namespace

std::string_view name_of(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return "portable";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvxVnni:
      return "avxvnni";
    case Isa::kAvx512Vnni:
      return "avx512vnni";
    case Isa::kAvx512Vbmi:
      return "avx512vbmi";
    case Isa::kAmx:
      return "amx";
  }
  return "unknown";
}

bool cpu_has(Isa isa) {
  switch (isa) {
    case Isa::kPortable:
      return true;
    case Isa::kAvx2:
      return features().avx2;
    case Isa::kAvxVnni:
      return features().avx_vnni;
    case Isa::kAvx512Vnni:
      return features().avx512_vnni;
    case Isa::kAvx512Vbmi:
      return features().avx512_vbmi;
    case Isa::kAmx:
      return features().amx;
  }
  return false;
}

std::vector<Isa> available_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : kIsas) {
    if (cpu_has(isa)) isas.push_back(isa);
  }
  return isas;
}

Isa choose_isa(std::optional<std::string_view> requested, std::optional<std::string_view> cap) {
  if (requested) return parse(*requested);
  if (cap && !cap->empty()) return parse(*cap);
  return available_isas().back();
}

bool serves(Isa row, Isa level) {
  const Isa needed = row == Isa::kAvx512Vbmi ? Isa::kAvx512Vnni : row;
  return needed <= level && cpu_has(row);
}

}  // namespace smidgen
