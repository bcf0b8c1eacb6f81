"""Where the tools around the method run: one place for every address, from the environment or a file `neuroinspect.env`.

None of this changes a figure, so none of it stands in params.yaml: the same params run on a laptop and on a team's servers.
"""

from neuroinspect.machinery.environment import PREFECT_VARIABLE
from neuroinspect.machinery.files import ENV_FILE, STACK_FILE, load_machinery, stack_way_out
from neuroinspect.machinery.settings import PAGE_PORT, Machinery

__all__ = [
    "ENV_FILE",
    "PAGE_PORT",
    "PREFECT_VARIABLE",
    "STACK_FILE",
    "Machinery",
    "load_machinery",
    "stack_way_out",
]
