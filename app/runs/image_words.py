"""What of its image's properties the build of a server reads. Kept with the request, as Nova keeps
it in an instance's system metadata: what becomes of the image later does not change the server."""

from collections.abc import Mapping

from app.runs import boot_properties, hardware


def image_words(properties: Mapping[str, str]) -> dict[str, str]:
    """Return those of an image's properties."""
    return {
        name: properties[name]
        for name in (*hardware.NAMES, *boot_properties.NAMES)
        if name in properties
    }
