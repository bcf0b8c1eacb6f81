import pytest

from neuroinspect.report import read_material, render_page
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


@pytest.fixture(scope="session")
def page_of(material_of):
    """The page of a drawn run, rendered once for each variant."""
    made = {}

    def page(**values):
        variant = Variant(**values)
        if variant not in made:
            made[variant] = render_page(material_of(**values))
        return made[variant]

    return page
