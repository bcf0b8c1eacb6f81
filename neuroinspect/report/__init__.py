"""The report: one HTML page that says what was found, whether the edit helped, and how sure that is."""

from neuroinspect.report.material import Material, read_material
from neuroinspect.report.provenance import settings_without_folders
from neuroinspect.report.render import Page, render_page

__all__ = ["Material", "Page", "read_material", "render_page", "settings_without_folders"]
