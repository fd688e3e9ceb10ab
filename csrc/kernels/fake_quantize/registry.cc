#include "kernels/fake_quantize/registry.h"

#include <array>

namespace smidgen::kernels {
namespace {

constexpr std::array kVariants = {
    FakeQuantizeVariant{"f32_fake_quantize_portable", Isa::kPortable, f32_fake_quantize_portable,
                        f32_pass_gradient_portable, f32_value_range_portable},
#if SMIDGEN_X86
    FakeQuantizeVariant{"f32_fake_quantize_avx2", Isa::kAvx2, f32_fake_quantize_avx2,
                        f32_pass_gradient_avx2, f32_value_range_avx2},
    FakeQuantizeVariant{"f32_fake_quantize_avx512vnni", Isa::kAvx512Vnni,
                        f32_fake_quantize_avx512vnni, f32_pass_gradient_avx512vnni,
                        f32_value_range_avx512vnni},
#endif
};

}  // namespace

std::span<const FakeQuantizeVariant> fake_quantize_variants() { return kVariants; }

}  // namespace smidgen::kernels
