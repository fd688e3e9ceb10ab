#include "kernels/attention/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    AttentionVariant{"qu8_attention_portable", Isa::kPortable, qu8_attention_portable,
                     u8_attention_keys_portable, u8_attention_values_portable},
#if SMIDGEN_X86
    AttentionVariant{"qu8_attention_avx2", Isa::kAvx2, qu8_attention_avx2,
                     u8_attention_keys_portable, u8_attention_values_portable},
    AttentionVariant{"qu8_attention_avxvnni", Isa::kAvxVnni, qu8_attention_avxvnni,
                     u8_attention_keys_portable, u8_attention_values_portable},
    AttentionVariant{"qu8_attention_avx512vnni", Isa::kAvx512Vnni, qu8_attention_avx512vnni,
                     u8_attention_keys_avx512vnni, u8_attention_values_avx512vnni},
#endif
};

}  // namespace

std::span<const AttentionVariant> attention_variants() { return kVariants; }

}  // namespace smidgen::kernels
