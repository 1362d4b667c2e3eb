"""In which numbers a training multiplies."""

import torch

BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # what processors call it that can


def chosen(precision: str, device: torch.device) -> str:
    """`auto` as the quicker of the two that this device has."""
    if precision != "auto":
        return precision
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether it has instructions for that; a processor without them is slower in it, not quicker."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type != "cpu" or not hasattr(torch.cpu, "get_capabilities"):
        return False
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in BFLOAT16)
