"""How a template becomes a page."""

from jinja2 import Environment, PackageLoader, StrictUndefined


def environment() -> Environment:
    """The templates of this package. Class names, paths and notes come from users, so everything is escaped.

    A name that a template does not know is an error.
    """
    return Environment(
        loader=PackageLoader("neuroinspect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
