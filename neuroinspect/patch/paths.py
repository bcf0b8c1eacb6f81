"""Where patches and models may be written."""

from pathlib import Path

from neuroinspect.errors import RunFolderError


def refuse_odd_target(path: Path, *sources: Path) -> None:
    """Refuse a name that would surprise: another format, a link, no regular file, or the very file that is read.

    Args:
        path: what is to be written.
        sources: what is read.

    Raises:
        RunFolderError: the message says what to name instead.
    """
    if path.suffix != ".safetensors":
        raise RunFolderError(f"{path} must end in .safetensors; other formats can run code when they are loaded")
    if path.is_symlink():
        raise RunFolderError(f"{path} is a link, which would be replaced and not followed; name the file itself")
    if path.exists() and not path.is_file():
        raise RunFolderError(f"{path} is there and is no file; name another")
    for source in sources:
        if path.resolve() == source.resolve() or (path.exists() and source.exists() and path.samefile(source)):
            raise RunFolderError(f"{path} is what is read from, and stays as it is; give another file as --out")
