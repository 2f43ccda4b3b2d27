"""`python -m distill`: the same as the command `distill`."""

from .cli import main

if __name__ == "__main__":
    main()
