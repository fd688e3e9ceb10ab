"""Which instructions peers may use where the engine runs at a level below the CPU's best."""

from __future__ import annotations

from collections.abc import Mapping

# Levels of oneDNN by levels of ours; a level that is not here limits nobody, as amx, the highest.
# AVX-512 VNNI is all that is below AMX: at AVX512_CORE_VNNI, as oneDNN calls it, OpenVINO's linear
# layers would not find their kernels and take five times as long, and to win against that is empty.
ONEDNN_LEVELS: Mapping[str, str] = {
    "avx512vnni": "AVX512_CORE_FP16",
    "avxvnni": "AVX2_VNNI",
    "avx2": "AVX2",
}
# The same for the kernels that are PyTorch's own.
ATEN_LEVELS: Mapping[str, str] = {"avx512vnni": "avx512", "avxvnni": "avx2", "avx2": "avx2"}
# The same for MKL, which multiplies PyTorch's float matrices: none of its levels above AVX2 changes
# that but AVX-512, which stays free where we use it ourselves.
MKL_LEVELS: Mapping[str, str] = {"avxvnni": "AVX2", "avx2": "AVX2"}
_PYTORCH: Mapping[str, Mapping[str, str]] = {
    "ONEDNN_MAX_CPU_ISA": ONEDNN_LEVELS,
    "ATEN_CPU_CAPABILITY": ATEN_LEVELS,
    "MKL_ENABLE_INSTRUCTIONS": MKL_LEVELS,
}
# The variables that runtimes read. ONNX Runtime has none: it uses all that the CPU has but AMX,
# which the kernels of its package do not know.
_VARIABLES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "openvino": {"ONEDNN_MAX_CPU_ISA": ONEDNN_LEVELS},
    "inductor": _PYTORCH,
    "pytorch": _PYTORCH,
}


def level_limits(runtime: str, isa: str) -> dict[str, str]:
    """Returns the variables that keep a runtime from instructions above a level of ours."""
    variables = _VARIABLES.get(runtime, {})
    return {name: levels[isa] for name, levels in variables.items() if isa in levels}
