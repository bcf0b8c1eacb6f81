"""The GPUs of this machine that may be used."""

import os


def visible_gpus() -> list[str]:
    """Their names, as CUDA_VISIBLE_DEVICES takes them, in the order in which torch counts them; none where there is no GPU."""
    import torch

    count, named = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(index) for index in range(count)]
    # CUDA sees nothing from the first name on that it does not know.
    return [name.strip() for name in named.split(",") if name.strip()][:count]
