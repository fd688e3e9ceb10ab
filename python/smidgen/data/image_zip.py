"""Zip archives of image folders: the folder of an image is its class.

Classes are numbered in the order of the folders' names. Images that are in no folder have no class.
"""

from __future__ import annotations

from pathlib import Path

from smidgen.data.encoded_images import UNLABELLED, EncodedImages, ImagePlaces
from smidgen.data.limits import DEFAULT_LIMITS, ImageLimits
from smidgen.errors import InvalidDatasetError
from smidgen.formats.zip_archive import ZipArchive, ZipLimits

_EXTENSIONS = (".jpg", ".jpeg", ".png")


def read_image_zip(path: Path, *, limits: ImageLimits = DEFAULT_LIMITS) -> EncodedImages:
    """Finds the images of an archive, in the order of their names.

    Raises:
        InvalidDatasetError: With a ZIP_ or DATASET_ reason.
        OSError: The file cannot be read.
    """
    archive = ZipArchive(
        path,
        limits=ZipLimits(
            file_bytes=limits.file_bytes,
            entries=limits.members,
            # Images are inflated one at a time, each within its own bound.
            inflated_bytes=limits.members * limits.encoded_bytes,
        ),
        allow_deflate=True,
        allow_folders=True,
        error=InvalidDatasetError,
    )
    names = sorted(archive.names)
    folders = sorted({_folder(name) for name in names} - {""})
    numbers = {"": UNLABELLED} | {folder: number for number, folder in enumerate(folders)}
    places = ImagePlaces(path, limits, may_deflate=True)
    for name in names:
        if not name.lower().endswith(_EXTENSIONS):
            raise InvalidDatasetError(
                f"The archive has the file {name[:64]!r}, expected .jpg, .jpeg and .png files in "
                "a folder for each class. Leave other files out.",
                reason="DATASET_UNEXPECTED_FILE",
            )
        place, label = archive.place(name), numbers[_folder(name)]
        if place.is_deflated:
            places.add(
                place.offset,
                place.size,
                label=label,
                packed_size=place.packed_size,
                crc=place.crc,
            )
        else:
            places.add(place.offset, place.size, label=label)
    return EncodedImages(places, tuple(folders))


def _folder(name: str) -> str:
    return name.rpartition("/")[0]
