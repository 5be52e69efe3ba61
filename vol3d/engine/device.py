"""Which device a model runs on."""

from __future__ import annotations

import torch

from vol3d.errors import UsageError, first_line


def pick_device(name: str | None, where: str = "device") -> torch.device:
    """The device called `name`; None and `auto` take CUDA where there is some.

    Args:
        where: what to call the argument in a message.

    Raises:
        UsageError: no such device on this machine.
    """
    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"cannot use this device ({first_line(error)})", where=where, got=name, wanted="cpu or cuda"
        ) from error
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for bfloat16: a CPU with AVX-512 BF16, a GPU since Ampere.

    Elsewhere it is emulated, and slower than float32.
    """
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def suited_precision(amp: str, device: torch.device) -> str:
    """What a setting `amp` means on a device: `off`, `bf16` or `fp16`.

    `auto` is bfloat16 where the device has it, else float32. So is `fp16` on a CPU, which computes it many times slower
    than float32.
    """
    if amp == "auto" or (amp == "fp16" and device.type == "cpu"):
        return "bf16" if has_bfloat16(device) else "off"
    return amp
