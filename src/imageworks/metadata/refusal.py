"""One way to say that something is not done, and why."""

from __future__ import annotations

from imageworks.errors import MetadataError


def refusal(*, reason: str, because: str, hint: str = "") -> MetadataError:
    """An error whose message is a clause about the file, such as ``it has two XMP packets``.

    The writer completes it: into a note where a sidecar takes the metadata instead, or into a full
    sentence that names the file where nothing can.
    """
    return MetadataError(because, hint=hint, reason=reason)
