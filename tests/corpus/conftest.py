from tests.labelled import labelled, manifests, small_parts, tones  # noqa: F401
