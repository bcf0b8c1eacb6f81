import pytest

from neuroinspect.report import read_material
from tests.report_run import Variant, build_run


@pytest.fixture(scope="session")
def material_of(tmp_path_factory):
    """Material of a drawn run, built once for each variant."""
    made = {}

    def material(**values):
        variant = Variant(**values)
        if variant not in made:
            root = tmp_path_factory.mktemp("run")
            made[variant] = read_material(*build_run(root, variant), data_root=root / "data")
        return made[variant]

    return material
