"""The name of what a config builds, however the config says it."""


def type_name(config: dict) -> str:
    """Return the bare name of the class that a config builds, or ``''``.

    ``type`` may be a class or function, or its name with or without a scope
    (``'mmdet.ReviewKD'``) or module (``'mmreviewkd.models.ReviewKD'``).
    """
    kind = config.get('type') or ''
    return kind.rpartition('.')[2] if isinstance(kind, str) else kind.__name__
