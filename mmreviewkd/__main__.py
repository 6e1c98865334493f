"""``python -m mmreviewkd`` runs the ``mmreviewkd`` command; torchrun needs it."""

from .commands import main

if __name__ == '__main__':
    main()
