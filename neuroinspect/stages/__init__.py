"""The stages: each reads and writes one run folder, and is done at once where its inputs did not change.

All share one shape: `stage(run, params, *, progress=silent) -> StageResult`.
"""
