"""The one exception for mistakes that the user can correct."""


class UserInputError(ValueError):
    """A config, path, checkpoint or dataset that cannot be used as given.

    The message names what was given and what was expected; ``tools/`` print it
    as one line instead of a traceback.
    """


class MissingFileError(UserInputError, FileNotFoundError):
    """A file of the user's is not there."""
