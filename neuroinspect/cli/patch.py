"""`neuroinspect patch`: an edit as a small file that is put into a model, and taken out again."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuroinspect.artifacts import RunFolder, write_tensors
from neuroinspect.chain import with_resolved_model
from neuroinspect.cli.options import (
    DEFAULT_PARAMS,
    DEFAULT_RUN,
    Json,
    ParamsFile,
    Quiet,
    read_machinery,
    read_params,
    run_folder,
    stage_tools,
)
from neuroinspect.cli.screen import as_shown, session
from neuroinspect.machinery import Machinery

if TYPE_CHECKING:
    from neuroinspect.patch import PatchRecord, Provenance, Trust

File = Annotated[Path, typer.Argument(metavar="FILE", help="the patch")]

app = typer.Typer(
    help="An edit as a small file: made of a run, put into a model, taken out again.", no_args_is_help=True
)


@app.command()
def make(
    run_name: Annotated[str, typer.Argument(metavar="RUN", help="name of a run, or its folder")] = DEFAULT_RUN,
    out: Annotated[Path, typer.Option("--out", help="file to write")] = Path("edit.patch.safetensors"),
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the recommended edit of a run as a patch, signed where NEUROINSPECT_SIGNING_KEY names a key."""
    with session(quiet=quiet, as_json=as_json) as screen:
        from neuroinspect.patch import make_patch, read_signing_key, refuse_odd_target, signed, trust_of, write_patch

        refuse_odd_target(out)
        params, machinery = read_params(params_file), read_machinery(params_file)
        key = None if machinery.signing_key is None else read_signing_key(machinery.signing_key, _password(machinery))
        named = run_folder(params, run_name, None)
        run = named if named.root.is_dir() else RunFolder(Path(run_name).resolve())
        patch = make_patch(run, with_resolved_model(params, stage_tools(params_file), run=run))
        patch = patch if key is None else signed(patch, key)
        size, trust = write_patch(out, patch), trust_of(patch, None)
        screen.finish(
            {"patch": out.resolve(), "bytes": size, "kind": trust.kind, "key": trust.key, **_hashes(patch.record)},
            f"wrote    {out} ({size} bytes, {'only checksummed' if key is None else f'signed by {trust.key}'})",
            f"for      {_parent(patch.record.provenance)}, hash {patch.record.parent}",
            f"next     neuroinspect patch apply {out} --weights PARENT --out EDITED",
        )


@app.command()
def show(file: File, params_file: ParamsFile = DEFAULT_PARAMS, quiet: Quiet = False, as_json: Json = False) -> None:
    """Say what a patch is, for which model, and who signed it."""
    with session(quiet=quiet, as_json=as_json) as screen:
        from neuroinspect.patch import read_patch, read_trusted_keys, trust_of

        patch, machinery = read_patch(file), read_machinery(params_file)
        trusted = None if machinery.trusted_keys is None else read_trusted_keys(machinery.trusted_keys)
        trust, record = trust_of(patch, trusted), patch.record
        made = record.provenance
        layer = {name: list(tensor.shape) for name, tensor in patch.edited.items()}
        reviewer = "nobody" if made.reviewer is None else made.reviewer + (" (unverified)" if made.unverified else "")
        lines = {
            "edit": f"{made.method} for class {made.class_name}, neurons {', '.join(map(str, made.neurons)) or 'none'}, "
            f"strength {made.strength:g}",
            "layer": ", ".join(f"{name} {tuple(shape)}" for name, shape in layer.items()),
            "review": f"{made.review or 'none'} by {reviewer}; verdict {made.verdict or 'not judged'}",
            "run": f"{made.run}, data {made.data_version}",
            "for": f"{_parent(made)}, hash {record.parent}",
            "makes": f"hash {record.result}",
            "is": _worth(trust),
        }
        screen.finish(
            {
                "patch": file.resolve(),
                "kind": trust.kind,
                "key": trust.key,
                "trusted": trust.trusted,
                "layer": layer,
                **record.plain(),
            },
            *(as_shown(f"{word:<8} {text}") for word, text in lines.items()),
        )


@app.command()
def apply(
    file: File,
    weights: Annotated[Path, typer.Option("--weights", help="weights of the model the patch is for")],
    out: Annotated[Path, typer.Option("--out", help="file to write")],
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the weights with the patch in them; another model than the one it was made for is refused."""
    _change(file, weights, out, beside=params_file, revert=False, quiet=quiet, as_json=as_json)


@app.command()
def revert(
    file: File,
    weights: Annotated[Path, typer.Option("--weights", help="weights the patch was applied to")],
    out: Annotated[Path, typer.Option("--out", help="file to write")],
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write the weights as they were before the patch, every tensor bit-identical."""
    _change(file, weights, out, beside=params_file, revert=True, quiet=quiet, as_json=as_json)


@app.command()
def keygen(
    out: Annotated[Path, typer.Option("--out", help="file of the private key; the public one has .pub behind it")],
    params_file: ParamsFile = DEFAULT_PARAMS,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Make a key to sign patches with; encrypted where NEUROINSPECT_SIGNING_PASSWORD is set."""
    with session(quiet=quiet, as_json=as_json) as screen:
        from neuroinspect.patch import make_keys

        password = _password(read_machinery(params_file))
        public, key = make_keys(out, password)
        how = "not encrypted" if password is None else "encrypted"
        screen.finish(
            {"private": out.resolve(), "public": public.resolve(), "key": key, "encrypted": password is not None},
            f"wrote    {out} (private, {how}, for your eyes only) and {public} (public)",
            f"key      {key}",
            f"next     NEUROINSPECT_SIGNING_KEY={out} here; {public} goes to those who trust you, into their "
            "NEUROINSPECT_TRUSTED_KEYS",
        )


def _change(file: Path, weights: Path, out: Path, *, beside: Path, revert: bool, quiet: bool, as_json: bool) -> None:
    with session(quiet=quiet, as_json=as_json) as screen:
        from neuroinspect.patch import (
            apply_patch,
            read_model,
            read_patch,
            read_trusted_keys,
            refuse_odd_target,
            refuse_untrusted,
            revert_patch,
        )

        refuse_odd_target(out, weights, file)
        patch, machinery = read_patch(file), read_machinery(beside)
        trusted = None if machinery.trusted_keys is None else read_trusted_keys(machinery.trusted_keys)
        trust = refuse_untrusted(patch, trusted)
        state = (revert_patch if revert else apply_patch)(patch, read_model(weights, patch))
        write_tensors(out, {name: tensor.clone() for name, tensor in state.items()})
        made = patch.record.parent if revert else patch.record.result
        what = "as before the patch" if revert else f"decision layer: {patch.record.provenance.method}"
        screen.finish(
            {"model": out.resolve(), "hash": made, "kind": trust.kind, "key": trust.key, "trusted": trust.trusted},
            as_shown(f"wrote    {out} ({what})"),
            f"hash     {made}",
            f"patch    {_worth(trust)}",
        )


def _password(machinery: Machinery) -> str | None:
    return None if machinery.signing_password is None else machinery.signing_password.get_secret_value()


def _worth(trust: "Trust") -> str:
    if trust.key is None:
        return "checksummed, not signed" + ("" if trust.trusted is None else "; not trusted here")
    known = {True: "trusted", False: "not trusted here", None: "nobody said which keys are trusted"}
    return f"signed by {trust.key}, {known[trust.trusted]}"


def _parent(made: "Provenance") -> str:
    return as_shown(made.model_origin or made.model_spec)


def _hashes(record: "PatchRecord") -> Mapping[str, Any]:
    return {"parent": record.parent, "result": record.result}
