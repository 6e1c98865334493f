"""``python -m mmreviewkd`` is the ``mmreviewkd`` command; torchrun needs it."""

from .commands import main

if __name__ == '__main__':
    main()
