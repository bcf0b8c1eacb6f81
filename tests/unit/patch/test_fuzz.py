"""Patches that were changed anywhere: never applied, always refused with an error of our own."""

import json
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from neuroinspect.errors import PatchError, WeightsError
from neuroinspect.patch import Patch, apply_patch, make_keys, read_model, read_signing_key, refuse_untrusted, signed
from neuroinspect.patch.file import KEY, decoded
from tests.unit.patch.patches import model, patch_for, same

pytest.importorskip("cryptography", reason="signatures need it: pip install 'neuroinspect[team]'")
MODEL = model()


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[bool, bytes]:
    """The same patch, signed and not."""
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder / "ada", None)
    patch = patch_for(MODEL)
    return {True: signed(patch, read_signing_key(folder / "ada", None)).encoded(), False: patch.encoded()}


@pytest.fixture(scope="module")
def one_file(tmp_path_factory) -> Path:
    """Written anew for every example."""
    return tmp_path_factory.mktemp("models") / "model.safetensors"


def used(data: bytes) -> Patch:
    """What a patch goes through until it is applied, where no keys are named: the weakest of all checks."""
    patch = decoded(data, source="the file")
    refuse_untrusted(patch, None)
    apply_patch(patch, MODEL)
    return patch


def envelope_of(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return header, json.loads(header["__metadata__"][KEY])


def with_envelope(data: bytes, envelope: Any) -> bytes:
    header, _ = envelope_of(data)
    spelled = json.dumps(envelope, sort_keys=True, separators=(",", ":"))
    header["__metadata__"][KEY] = spelled
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data[8 + int.from_bytes(data[:8], "little") :]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Path of every value inside JSON, whole branches too."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for name, item in inner for found in places(item, (*path, name))]


def put(value: Any, path: tuple[Any, ...], new: Any) -> None:
    for name in path[:-1]:
        value = value[name]
    value[path[-1]] = new


def other(value: Any) -> Any:
    """Something of the same type, as a forger would put it."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value / 2 if isinstance(value, float) else value + 1
    if isinstance(value, str):
        return ("1" if value[:1] == "0" else "0") + value[1:]
    return {} if isinstance(value, dict) else [] if isinstance(value, list) else "x"


def test_what_is_not_changed_is_applied(files):
    for data in files.values():
        assert with_envelope(data, envelope_of(data)[1]) == data
        assert used(data).record == patch_for(MODEL).record


@pytest.mark.parametrize("with_signature", [True, False])
def test_no_field_of_the_metadata_can_be_changed_or_left_out(files, with_signature):
    data = files[with_signature]
    paths = places(envelope_of(data)[1])
    assert len(paths) > 20
    for path in paths:
        for new in (other, lambda _: None, lambda _: 10**30, lambda _: "\ud800", lambda _: [[]]):
            envelope = envelope_of(data)[1]
            value = envelope
            for name in path:
                value = value[name]
            # Without its signature it is a checksummed patch: see the next test.
            if new(value) == value or (path == ("signature",) and new(value) is None):
                continue
            put(envelope, path, new(value))
            with pytest.raises(PatchError):
                used(with_envelope(data, envelope))
        envelope = envelope_of(data)[1]
        parent = envelope
        for name in path[:-1]:
            parent = parent[name]
        del parent[path[-1]]
        with pytest.raises(PatchError):
            used(with_envelope(data, envelope))


def test_taking_the_signature_away_is_seen_where_keys_are_named(files):
    envelope = envelope_of(files[True])[1] | {"signature": None}
    stripped = decoded(with_envelope(files[True], envelope), source="the file")
    with pytest.raises(PatchError, match="only checksummed"):
        refuse_untrusted(stripped, {"0" * 64: "ada.pub"})


@settings(max_examples=250, deadline=None)
@given(choices=st.data())
def test_no_byte_of_the_file_can_be_changed(files, choices):
    data = bytearray(files[choices.draw(st.booleans())])
    # Half of the changes in the header, which is where a reader can be led astray.
    header = 8 + int.from_bytes(data[:8], "little")
    place = choices.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(data) - 1)))
    data[place] ^= choices.draw(st.integers(1, 255))
    with pytest.raises(PatchError):
        used(bytes(data))


@settings(max_examples=150, deadline=None)
@given(choices=st.data())
def test_nothing_can_be_cut_out_put_in_or_doubled(files, choices):
    data = files[choices.draw(st.booleans())]
    start = choices.draw(st.integers(0, len(data)))
    stop = choices.draw(st.integers(start, len(data)))
    changed = data[:start] + choices.draw(st.sampled_from([b"", b"\0", data[:64]])) + data[stop:]
    if changed != data:
        with pytest.raises(PatchError):
            used(changed)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=400))
def test_no_bytes_at_all_crash_the_reader(data):
    for begun in (data, struct.pack("<Q", len(data)) + data, struct.pack("<Q", len(data)) + b'{"__metadata__":' + data):
        with pytest.raises(PatchError):
            decoded(begun, source="the file")


@settings(max_examples=150, deadline=None)
@given(choices=st.data())
def test_a_damaged_model_is_refused_and_never_crashes(one_file, files, choices):
    data = bytearray(save(MODEL))
    header = 8 + int.from_bytes(data[:8], "little")
    for _ in range(choices.draw(st.integers(1, 3))):
        place = choices.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(data) - 1)))
        data[place] ^= choices.draw(st.integers(1, 255))
    one_file.write_bytes(data)
    patch = decoded(files[False], source="the file")
    try:
        state = read_model(one_file, patch)
        apply_patch(patch, state)
    except (PatchError, WeightsError):
        return
    assert same(state, MODEL)  # two changes may undo each other
