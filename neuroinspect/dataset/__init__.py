"""Pictures and their table: where they come from, which can be used, and how they become network input."""

from neuroinspect.dataset.images import cut_out, decode, load_batches, load_images, preprocess
from neuroinspect.dataset.manifest import SPLITS, Manifest, build_manifest
from neuroinspect.dataset.sources import Source, data_root, listing_hash, read_source

__all__ = [
    "SPLITS",
    "Manifest",
    "Source",
    "build_manifest",
    "cut_out",
    "data_root",
    "decode",
    "listing_hash",
    "load_batches",
    "load_images",
    "preprocess",
    "read_source",
]
